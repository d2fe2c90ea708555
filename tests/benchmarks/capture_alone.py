"""Times libgphoto2's own blocking capture call; the port is the argument, the count on stdin."""

from __future__ import annotations

import json
import sys
import time

import gphoto2 as gp


def main() -> None:
    """Print the seconds of each call as JSON."""
    camera, ports, models = gp.Camera(), gp.PortInfoList(), gp.CameraAbilitiesList()
    ports.load()
    models.load()
    camera.set_abilities(models[models.lookup_model("PTP/IP Camera")])
    camera.set_port_info(ports[ports.lookup_path(sys.argv[1])])
    camera.init()
    for name, value in (("capturetarget", "Memory card"), ("shutterspeed", None)):
        widget = camera.get_single_config(name)
        choices = [widget.get_choice(i) for i in range(widget.count_choices())]
        if value is None:
            value = min(choices, key=lambda text: abs(_seconds(text) - 0.125))
        chosen = next((each for each in choices if each == value), choices[-1])
        widget.set_value(chosen)
        camera.set_single_config(name, widget)
    times_s = []
    for _ in range(int(sys.stdin.read())):
        started_s = time.monotonic()
        path = camera.capture(gp.GP_CAPTURE_IMAGE)
        times_s.append(time.monotonic() - started_s)
        camera.file_delete(path.folder, path.name)
        time.sleep(0.3)
    camera.exit()
    print(json.dumps(times_s))


def _seconds(text: str) -> float:
    top, _, bottom = text.rstrip("s").partition("/")
    try:
        return float(top) / float(bottom or 1)
    except ValueError:
        return 1e9


if __name__ == "__main__":
    main()
