"""The operator's day in a real browser: plan, start, watch, pause, finish, look, compare."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from macrorail.run_folder.run_socket import ask_run
from tests.page import Server, wait_for


def number(page: Any, where: str) -> int:
    return int(page.inner_text(where))


def set_up(page: Any, server: Server) -> None:
    page.goto(f"{server.url}/#setup")
    page.locator("#plan-count").wait_for(timeout=90_000)


def start(page: Any, server: Server) -> Path:
    set_up(page, server)
    page.click("#start")
    page.wait_for_url("**/#run/*", timeout=90_000)
    return server.runs / page.url.rpartition("/")[2]


def counted(page: Any, at_least: int) -> None:
    wait_for(lambda: number(page, "#run-done") >= at_least, f"{at_least} slices", 90)


def state(page: Any, words: str, timeout_s: float = 90) -> None:
    page.locator("#run-state", has_text=re.compile(f"^{words}$")).wait_for(timeout=timeout_s * 1e3)


def picture(page: Any) -> str:
    return page.locator("#stage").get_attribute("data-version") or ""


def test_from_a_and_b_to_the_finished_picture(page: Any, server: Server) -> None:
    set_up(page, server)
    before = number(page, "#plan-count")
    wide = page.get_by_role("button", name="f/2.8")
    wide.focus()
    page.keyboard.press("Enter")
    wait_for(lambda: number(page, "#plan-count") > before, "more slices at f/2.8", 90)
    wait_for(lambda: wide.get_attribute("aria-pressed") == "true", "f/2.8 to be marked", 90)
    assert wide.evaluate("(button) => button === document.activeElement")
    page.get_by_label("Aperture", exact=True).fill("f/8")
    wait_for(lambda: number(page, "#plan-count") < before, "fewer slices at f/8", 90)
    page.get_by_label("B · farthest plane").fill("21.2 mm")
    page.get_by_label("Overlap").fill("40 %")
    page.get_by_label("Settle before each shot").fill("2 s")
    page.locator(".plan", has_text=re.compile("1.2 mm")).wait_for()
    planned = number(page, "#plan-count")
    page.click("#start")
    page.wait_for_url("**/#run/*", timeout=90_000)
    run = server.runs / page.url.rpartition("/")[2]

    # Six frames align the first one; the check of each frame ends with the one after it.
    wait_for(lambda: "growing=true" in picture(page), "the growing picture", 90)
    page.get_by_role("button", name="Pause").click()
    state(page, "Paused")
    first = picture(page)
    held = number(page, "#run-done")
    page.get_by_role("button", name="Resume").click()
    counted(page, held + 1)
    wait_for(lambda: picture(page) != first, "the picture to grow", 60)
    state(page, "Done, coverage proven")
    assert number(page, "#run-done") == planned
    manifest = json.loads(wait_for(lambda: read(run / "manifest.json"), "the manifest", 30))
    assert manifest["finish_reason"] == "completed"
    assert manifest["coverage"]["proven"]
    assert manifest["settings"]["aperture"] == "f/8"
    thumbs = page.locator("#run-strip button")
    assert thumbs.count() == planned
    thumbs.first.click()
    wait_for(lambda: "frames/1.jpg" in picture(page), "the first slice, large", 90)

    page.get_by_role("button", name="Coverage").click()
    wait_for(lambda: "coverage.png" in picture(page), "the coverage map", 90)
    stack_again(page, run)

    page.get_by_role("link", name="Pictures", exact=True).click()
    page.get_by_label("Find a specimen").fill("no such thing")
    page.locator("#no-runs").wait_for()
    page.get_by_label("Find a specimen").fill("BEET")
    page.get_by_role("link", name="Open").click()
    state(page, "Done, coverage proven")


def stack_again(page: Any, run: Path) -> None:
    """With another method, and the two results under a slider."""
    page.get_by_role("button", name="Stack again").click()
    page.get_by_label("Quality").select_option("fast")
    page.get_by_label("Reference").select_option("middle")
    page.get_by_role("button", name="Stack", exact=True).click()
    page.get_by_role("link", name="Compare").click(timeout=90_000)
    assert (run / "stacked-again" / "fast-middle-run.tif").is_file()
    loaded = """() => [...document.querySelectorAll(".views img")].filter(
        (seen) => seen.complete && seen.naturalWidth > 0).length"""
    wait_for(lambda: page.evaluate(loaded) == 2, "both pictures", 90)
    assert serious(page) == []
    page.locator(".slide input").press("End")
    over = page.locator(".views img").nth(1)
    assert over.evaluate("(seen) => seen.style.clipPath") == "inset(0px 0px 0px 100%)"
    page.get_by_role("link", name="Back").click()
    state(page, "Done, coverage proven")


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_run_outlives_the_page_and_the_server(page: Any, server: Server) -> None:
    run = start(page, server)
    counted(page, 1)
    # Paused, it waits for us however slow this machine is.
    page.get_by_role("button", name="Pause").click()
    state(page, "Paused")
    held = number(page, "#run-done")
    alive = server.at_work(run)
    page.goto("about:blank")
    server.kill()
    assert alive is not None and server.at_work(run) == alive
    assert "error" not in ask_run(run, "resume", 60)
    wait_for(lambda: len(list((run / "frames").iterdir())) > held + 1, "slices without a page", 90)
    server.start()
    page.goto(f"{server.url}/#run/{run.name}")
    state(page, "Done, coverage proven")
    manifest = wait_for(lambda: read(run / "manifest.json"), "the manifest", 90)
    fused = json.loads(manifest)["fused"]
    assert hashlib.sha256((run / "fused.tif").read_bytes()).hexdigest() == fused["sha256"]


def test_a_page_that_stays_open_finds_the_server_again(page: Any, server: Server) -> None:
    run = start(page, server)
    counted(page, 1)
    server.kill()
    page.locator("#banner", has_text="continues without it").wait_for()
    server.start()
    page.locator("#banner").wait_for(state="hidden", timeout=90_000)
    state(page, "Done, coverage proven")
    assert server.at_work(run) is None or number(page, "#run-done") > 0


def test_stop_is_one_press_on_every_page_also_for_those_who_watch(
    page: Any, server: Server, browser: Any
) -> None:
    run = start(page, server)
    counted(page, 1)
    page.get_by_role("button", name="Pause").click()
    state(page, "Paused")
    watching = browser.new_context().new_page()
    watching.goto(f"{server.url}/#setup")
    watching.locator("#operate", has_text="Watching").wait_for()
    refused = watching.evaluate(
        """async (run) => (await fetch(`/api/runs/${run}/command`, {method: "POST",
        headers: {"content-type": "application/json"}, body: '{"do": "pause"}'})).status""",
        run.name,
    )
    assert refused == 409
    for there in ("#setup", "#runs", "#run"):
        watching.goto(f"{server.url}/{there}")
        assert watching.locator("#stop").is_visible()
    wait_for(lambda: watching.locator("#stop").is_enabled(), "the stop to be armed", 90)
    page.get_by_role("button", name="Resume").click()
    state(page, "Shooting|Preparing")
    watching.click("#stop")
    state(page, "Stopped by the operator")
    wait_for(lambda: server.at_work(run) is None, "the run to end", 90)
    # What was stopped goes on from the page, to its end, with no slice shot twice.
    page.get_by_role("button", name="Resume").click()
    state(page, "Done, coverage proven")
    frames = [path.name for path in (run / "frames").iterdir()]
    assert len(frames) == len(json.loads((run / "plan.json").read_text())["slices"])
    watching.context.close()


def test_everything_can_be_done_with_the_keyboard(page: Any, server: Server) -> None:
    set_up(page, server)

    def tab_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """() => [document.activeElement.id, document.activeElement.textContent]"""
            )
            if name in focused:
                return
        raise AssertionError(f"{name} cannot be reached with the Tab key")

    tab_to("connect")
    page.keyboard.press("Enter")
    page.locator("#home").wait_for(timeout=90_000)
    tab_to("home")
    page.keyboard.press("Enter")
    page.locator("#place", has_text="mm").wait_for(timeout=90_000)
    home = place(page)
    tab_to("+1 mm")
    for moved in (1.0, 2.0):  # the key can be pressed again: its button keeps the focus
        page.keyboard.press("Enter")
        wait_for(lambda moved=moved: abs(place(page) - home - moved) < 0.002, "a move by key", 90)
    page.keyboard.press("a")
    near = page.get_by_label("A · nearest plane")
    assert float(near.input_value().removesuffix(" mm")) == pytest.approx(place(page), abs=0.001)
    # Settling long enough that P comes before the end, on any machine.
    for field, where in (("range.near", "20 mm"), ("range.far", "20.4 mm"), ("settle", "8 s")):
        tab_to(f"f-{field}")
        page.keyboard.press("Control+a")
        page.keyboard.type(where)
    page.locator(".plan", has_text="400 µm").wait_for()
    tab_to("start")
    page.keyboard.press("Enter")
    page.wait_for_url("**/#run/*", timeout=90_000)
    counted(page, 1)
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("p")
    state(page, "Paused")
    page.keyboard.press("p")
    state(page, "Done, coverage proven")
    tab_to("Pictures")
    page.keyboard.press("Enter")
    tab_to("Open")
    page.keyboard.press("Enter")
    state(page, "Done, coverage proven")


def test_a_tab_in_the_background_holds_no_connection(page: Any, server: Server) -> None:
    def viewers() -> int:
        count: int = json.loads(server.ask("GET", "/api/status")[2])["status"]["viewers"]
        return count

    set_up(page, server)
    wait_for(lambda: viewers() == 1, "the page to follow", 90)
    hide = """(hidden) => { Object.defineProperty(document, "hidden", {value: hidden,
        configurable: true}); document.dispatchEvent(new Event("visibilitychange")); }"""
    page.evaluate(hide, True)
    wait_for(lambda: viewers() == 0, "the connection to be given up", 90)
    # It still learns of what goes on, and asks for that by itself.
    assert (
        server.ask("POST", "/api/operator", {"do": "take"}, {"Cookie": server.cookie()})[0] == 200
    )
    page.locator("#operate", has_text="Watching").wait_for()
    page.evaluate(hide, False)
    wait_for(lambda: viewers() == 1, "the page to follow again", 90)


def test_protocols_are_opened_and_saved(page: Any, server: Server) -> None:
    set_up(page, server)
    page.set_input_files(
        "input[type=file]",
        files=[
            {
                "name": "moth.yaml",
                "mimeType": "text/yaml",
                "buffer": b"specimen: {id: moth}\nrange: {around: 21 mm, span: 0.5 mm}\n"
                b"step: 40 um\nsettle: 1 s\nexposure: {aperture: f/4, shutter: 1/5 s}\n",
            }
        ],
    )
    page.locator(".plan", has_text="500 µm").wait_for()
    page.get_by_label("Save this protocol as").fill("moth-2")
    page.get_by_role("button", name="Save").click()
    page.locator("#toasts", has_text="Saved as moth-2.yaml").wait_for()
    saved = (server.folder / "protocols" / "moth-2.yaml").read_text()
    assert "around: 21 mm" in saved
    page.get_by_label("Specimen", exact=True).fill("not / allowed")
    page.locator("#plan-error", has_text="names folders").wait_for()
    assert page.locator("#start").is_disabled()


def test_nothing_is_cut_off_and_axe_finds_nothing_serious(page: Any, server: Server) -> None:
    run = start(page, server)
    counted(page, 2)
    for width, height in ((1440, 900), (1180, 820), (820, 1180)):
        page.set_viewport_size({"width": width, "height": height})
        for there in ("#runs", "#setup", f"#run/{run.name}"):
            page.goto(f"{server.url}/{there}")
            page.locator(f"#page-{there[1:].partition('/')[0]}").wait_for()
            wide = page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= width, f"{there} is {wide} px wide at {width}x{height}"
            assert serious(page) == [], f"{there} at {width}x{height}"
            for box, what in visible_buttons(page):
                assert box["height"] >= 44, what
                assert 0 <= box["x"] <= width - box["width"], what


def serious(page: Any) -> list[tuple[str, list[str]]]:
    """What axe-core holds against the page as it is."""
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is needed")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    return [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in page.evaluate("() => axe.run()")["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]


def visible_buttons(page: Any) -> list[tuple[dict[str, float], str]]:
    """Where each button is, and what it says; those that go while we look are left out."""
    found = page.locator("button:visible:not(.strip *), a.button:visible").all()
    return [(box, button.inner_text()) for button in found if (box := button.bounding_box())]


def test_the_instrument_is_set_up(page: Any, server: Server) -> None:
    set_up(page, server)
    page.click("#connect")
    page.locator("#home").click(timeout=90_000)
    page.locator("#place", has_text="mm").wait_for(timeout=90_000)
    home = place(page)
    page.locator(".kind.on").wait_for(timeout=90_000)
    seen = frames(page)
    wait_for(lambda: frames(page) >= seen + 10, "live view to go on", 90)
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("PageDown")
    wait_for(lambda: abs(place(page) - home - 1.0) < 0.002, "a millimetre by key", 90)
    page.get_by_role("button", name="+100 µm").click()
    wait_for(lambda: abs(place(page) - home - 1.1) < 0.002, "100 µm by button", 90)
    page.get_by_role("button", name="Set A").click()
    near = page.get_by_label("A · nearest plane").input_value()
    assert float(near.removesuffix(" mm")) == pytest.approx(place(page), abs=0.001)
    apertures = page.locator("#f-exposure\\.aperture option").all_inner_texts()
    assert {"f/6.3", "f/16"} <= set(apertures)  # the camera's own menu
    shutter = page.locator("#f-exposure\\.shutter")
    assert shutter.input_value() == "1/10 s"
    wait_for(lambda: brightness(page) > 5, "the light of 1/10 s in live view", 90)
    before = brightness(page)
    shutter.select_option("1/30 s")
    wait_for(lambda: brightness(page) < 0.8 * before, "live view to get darker", 90)
    shutter.select_option("1/10 s")
    page.get_by_role("button", name="Loupe").click()
    assert page.locator(".loupe").is_visible()
    page.click("#shoot")
    page.locator("#clipping", has_text=re.compile("Exposure|Dark|Overexposed")).wait_for(
        timeout=90_000
    )
    page.locator(".kind", has_text="Test shot").wait_for(timeout=90_000)
    assert serious(page) == []
    for width in (1440, 1180, 820):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Disconnect").click()
    page.locator("#connect").wait_for(timeout=90_000)


def frames(page: Any) -> int:
    return int(page.locator(".viewer canvas").first.get_attribute("data-frames") or 0)


def brightness(page: Any) -> float:
    mean: float = page.evaluate(
        """() => { const seen = document.querySelector(".viewer canvas");
        const { data } = seen.getContext("2d").getImageData(0, 0, seen.width, seen.height);
        let sum = 0; for (let n = 1; n < data.length; n += 4) sum += data[n];
        return sum / (data.length / 4); }"""
    )
    return mean


def place(page: Any) -> float:
    text = page.inner_text("#place")
    return float(text.removesuffix(" mm")) if text.endswith(" mm") else float("nan")
