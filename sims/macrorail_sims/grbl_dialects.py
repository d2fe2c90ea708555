"""Simulated grblHAL, FluidNC, and grbl with a slow start, after their documentation."""

from __future__ import annotations

from macrorail_sims.grbl import LOCKED, GrblMachine

_AXES = "xyza"


class UnoGrbl(GrblMachine):
    """grbl on an Uno: receives nothing while its bootloader runs, then sends its greeting.

    Parameters
    ----------
    boot_s
        How long the board receives nothing after opening the port has reset it, seconds.
    """

    def __init__(self, boot_s: float = 1.6) -> None:
        self._boot_s = boot_s
        self._starts_at_s = 0.0
        super().__init__()

    def rx(self, data: bytes) -> None:
        if self.now_s >= self._starts_at_s:
            super().rx(data)

    def run_until(self, world_s: float) -> None:
        due = self.now_s < self._starts_at_s <= world_s
        super().run_until(world_s)
        if due:
            self._start()

    def reset(self, cause: str = "pin") -> None:
        self.tx()
        super().reset(cause)
        self._out.clear()
        self._starts_at_s = self.now_s + self._boot_s

    def _start(self) -> None:
        self._out += (self.welcome + (LOCKED if self.settings[22] else "")).encode()


class GrblHal(UnoGrbl):
    """grblHAL: a different greeting, more fields in its reports, bit masks for some settings."""

    welcome = "\r\nGrblHAL 1.1f ['$' or '$HELP' for help]\r\n"

    def __init__(self) -> None:
        super().__init__(boot_s=0.4)
        # Each axis can be homed separately; every field is reported.
        self.settings |= {10: 511, 22: 3}
        self.options = "VNMGPHSL"

    def _extra_fields(self) -> list[str]:
        return ["WCS:G54", "Bf:35,1023", "MPG:0", "H:1,7", "T:0", "TLR:0", "Sc:", "FW:grblHAL"]

    def _state_text(self) -> str:
        return "Alarm:11" if self._state == "Alarm" else self._state

    def _homes_alone(self) -> bool:
        return bool(int(self.settings[22]) & 2)

    def _homes(self) -> bool:
        return bool(int(self.settings[22]) & 1)


class FluidNc(UnoGrbl):
    """FluidNC: many messages at its start, and settings in a tree of names."""

    welcome = "\r\nGrbl 3.7 [FluidNC v3.7.17 (wifi) '$' for help]\r\n"

    def __init__(self) -> None:
        super().__init__(boot_s=2.8)
        self.options = "MPHS"
        self.tree: dict[str, str] = {"/stepping/idle_ms": "255"}
        for axis, name in enumerate(_AXES[:3]):
            self.tree |= {
                f"/axes/{name}/steps_per_mm": f"{self.settings[100 + axis]:.3f}",
                f"/axes/{name}/max_rate_mm_per_min": f"{self.settings[110 + axis]:.3f}",
                f"/axes/{name}/acceleration_mm_per_sec2": f"{self.settings[120 + axis]:.3f}",
                f"/axes/{name}/max_travel_mm": f"{self.settings[130 + axis]:.3f}",
                f"/axes/{name}/soft_limits": "true",
                f"/axes/{name}/homing/cycle": str(1 + axis),
                f"/axes/{name}/homing/positive_direction": "true",
                f"/axes/{name}/homing/seek_mm_per_min": "3000.000",
                f"/axes/{name}/motor0/pulloff_mm": "1.000",
            }

    def _start(self) -> None:
        self._out += b"ets Jun  8 2016 00:22:57\r\n\xff\xfe\x80rst:0x1 (POWERON_RESET)\r\n"
        for number in range(40):
            self._out += f"[MSG:INFO: line {number} of the start]\r\n".encode()
        super()._start()

    def _system(self, line: str) -> int | None:
        if line == "$$":
            self._say(f"$10={self.settings[10]:.0f}")
            return 0
        if line == "$I":
            self._say("[VER:3.7 FluidNC v3.7.17:]")
            self._say(f"[OPT:{self.options}]")
            self._say("[MSG: Machine: a bench]")
            return 0
        if line.startswith("$/"):
            name = line[1:].lower()
            if name not in self.tree:
                return 3
            self._say(f"${name}={self.tree[name]}")
            return 0
        return super()._system(line)

    def _homes_alone(self) -> bool:
        return True

    def _extra_fields(self) -> list[str]:
        return ["Bf:15,128", "Pn:P", "SD:0.00,job.nc"]
