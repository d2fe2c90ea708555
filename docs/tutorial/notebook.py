# %% [markdown]
# # A stack from Python
# This script plans, interrupts, resumes and fuses a stack on the simulated instrument. Run it cell
# by cell in an editor that knows `# %%`, or all at once with `python notebook.py`. Run folders go
# to `runs/`.

# %%
import signal
from pathlib import Path

import macrorail

# %% [markdown]
# ## Write a rig and a protocol
# These are the shipped files, with smaller pictures and a flatter specimen, so that the run takes
# only seconds.

# %%
rig = Path("notebook-rig.yaml")
text = (macrorail.CONFIGS / "rigs" / "simulated-rail.yaml").read_text()
text = text.replace("1200", "480").replace("800", "320").replace("4.5 um", "11.25 um")
rig.write_text(
    text.replace("specimen: {near: 20 mm, far: 23 mm}", "specimen: {near: 20 mm, far: 21 mm}")
)

protocol = Path("notebook-protocol.yaml")
text = (macrorail.CONFIGS / "protocols" / "demo-rail.yaml").read_text()
protocol.write_text(text.replace("far: 23 mm", "far: 21 mm"))

# %% [markdown]
# ## Plan
# Planning touches no device. The figures of a plan are arrays.

# %%
plan = macrorail.plan(protocol, rig=rig)
print(f"{len(plan.positions_um)} slices from {plan.positions_um[0]:.0f} µm")
print(f"depth of field {plan.dof_um.min():.1f} to {plan.dof_um.max():.1f} µm")
print(f"about {plan.duration_s:.0f} s of the instrument's time")

# %% [markdown]
# ## Run, and interrupt it
# `on_event` is called with every event of the run. Here this function presses Ctrl-C after the
# thirtieth event. The axis stops, and the finished slices stay on disk. The error carries the path
# of the run folder.

# %%
events = []


def press_ctrl_c(event):
    """Collect events, and interrupt the run after thirty."""
    events.append(event)
    if len(events) == 30:
        signal.raise_signal(signal.SIGINT)


try:
    macrorail.run(protocol, rig=rig, on_event=press_ctrl_c)
    raise AssertionError("the run was not interrupted")
except macrorail.MacrorailError as error:
    folder = error.run_folder
    print(f"{error}: {folder}")

# %% [markdown]
# ## Resume
# No slice is lost and none is shot twice.

# %%
result = macrorail.resume(folder)
print(f"{result.state.value}: {len(result.frames)} frames")
print("coverage proven:", result.coverage["proven"])
assert len(result.frames) >= len(plan.positions_um)

# %% [markdown]
# ## Look at the result
# Picture and depth are arrays. The picture is (height, width, 3), RGB, 16 bits. Depth is in
# micrometres on the axis.

# %%
picture, depth_um = result.picture, result.depth_um
print(picture.shape, picture.dtype)
print(f"the surface is between {depth_um.min():.0f} and {depth_um.max():.0f} µm")

# %% [markdown]
# ## Fuse the same frames again
# Stacking a run folder gives the same pixels as the run did. `macrorail.stack` also takes a list
# of files or arrays.

# %%
again = macrorail.stack(folder)
assert (again.picture == picture).all()
smooth = macrorail.stack(folder, method="depth-map")
difference = abs(smooth.picture.astype(int) - picture).mean() / 257
print(f"the depth-map method differs by {difference:.2f} of 255 on average")

# %% [markdown]
# ## Move and shoot by hand

# %%
with macrorail.connect(rig) as instrument:
    instrument.axis.home()
    print(f"at {instrument.axis.move_to('20.4 mm'):.1f} µm")
    print(instrument.camera.shoot().picture.shape)
