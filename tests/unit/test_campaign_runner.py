"""What a failure of one stack means for the others, with executor that do nothing."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macrorail.campaign.plan import CampaignPlan, StackTask
from macrorail.campaign.progress import CampaignProgress
from macrorail.campaign.runner import CampaignRunner, Identified, Skipped, UnfinishedCampaign
from macrorail.config.stage import StagePosition
from macrorail.errors import (
    DeviceError,
    IdentityError,
    MacrorailError,
    OperatorStop,
    OverlapError,
    StorageError,
)
from macrorail.run_folder.journal import Entry, Journal, read_journal
from macrorail.running.ending import RunEnd
from macrorail.states import FinishReason, State

GOOD = RunEnd(State.DONE, FinishReason.COMPLETED)
BAD = RunEnd(
    State.DONE, FinishReason.COVERAGE_NOT_PROVEN, "a gap", OverlapError(50.0, 40.0, "a gap")
)
BROKEN = RunEnd(State.FAILED, FinishReason.DEVICE_FAULT, "it jammed", DeviceError("it jammed"))
FULL = RunEnd(State.FAILED, FinishReason.STORAGE_FAULT, "disk full", StorageError("disk full"))
STOPPED = RunEnd(
    State.ABORTED, FinishReason.STOPPED_BY_OPERATOR, "stopped", OperatorStop("stopped")
)


def work_of(count: int, **more: Any) -> CampaignPlan:
    items = tuple(
        StackTask(
            f"P{n}", f"P{n}", {"id": f"id-{n}"}, StagePosition(n * 1e3, 1e3), "", "", "", "", {}
        )
        for n in range(count)
    )
    settings: dict[str, Any] = {"settle_s": 0.0, "come_back": 1, "stop_after": 3, **more}
    return CampaignPlan("tray", items, **settings)


class FakeExecutor:
    """Ends stacks as a script says; the last word of a script stays."""

    def __init__(self, **script: list[RunEnd | MacrorailError]) -> None:
        self.script: dict[str, list[RunEnd | MacrorailError]] = defaultdict(lambda: [GOOD], script)
        self.shot: list[tuple[str, str, bool]] = []
        self.missing: str | None = None
        self.unknown: dict[str, Identified | MacrorailError] = {}

    def bring(self, task: StackTask, before: StackTask | None) -> None:
        pass

    def identify(self, task: StackTask) -> Identified:
        found = self.unknown[task.place]
        if isinstance(found, MacrorailError):
            raise found
        return found

    def shoot(
        self, task: StackTask, specimen: dict[str, str], folder: str, resumes: bool
    ) -> RunEnd:
        assert folder
        self.shot.append((task.key, folder, resumes))
        script = self.script[task.key]
        end = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(end, MacrorailError):
            raise end
        return end

    def set_aside(self, folder: str, why: str) -> str:
        return f"quarantine/{Path(folder).name}"

    def missing_device(self) -> str | None:
        return self.missing


class Campaign:
    """A walk with its journal on disk, which can be begun again as another process would."""

    def __init__(self, folder: Path, work: CampaignPlan, executor: FakeExecutor) -> None:
        self.path = folder / "journal.jsonl"
        self.campaign, self.executor = work, executor
        self.stop = ""

    def run(self) -> CampaignProgress:
        entries = read_journal(self.path) if self.path.exists() else []
        progress = CampaignProgress.of(self.campaign, entries)
        journal = Journal(self.path, lambda: 0.0, resume=self.path.exists())
        journal.listen(progress.on_entry)

        def check() -> None:
            if self.stop:
                raise OperatorStop(self.stop)

        try:
            CampaignRunner(self.campaign, progress, journal.append, self.executor, check).run()
        finally:
            journal.close()
        return progress

    @property
    def entries(self) -> list[Entry]:
        return read_journal(self.path)


def test_all_is_shot_in_order(tmp_path: Path) -> None:
    executor = FakeExecutor()
    progress = Campaign(tmp_path, work_of(3), executor).run()
    assert executor.shot == [(f"P{n}", f"runs/id-{n}", False) for n in range(3)]
    assert progress.to_dict() == {"stacks": 3, "done": 3, "quarantined": 0, "left": 0}


def test_a_failure_is_tried_again_after_the_others_and_then_quarantined(tmp_path: Path) -> None:
    executor = FakeExecutor(P1=[BAD])
    campaign = Campaign(tmp_path, work_of(4), executor)
    with pytest.raises(UnfinishedCampaign, match="1 of 4 stacks are in quarantine"):
        campaign.run()
    assert [key for key, _, _ in executor.shot] == ["P0", "P1", "P2", "P3", "P1"]
    assert executor.shot[-1][1] == "runs/id-1-try2"
    progress = CampaignProgress.of(campaign.campaign, campaign.entries)
    standing = progress.statuses["P1"]
    assert (standing.state, standing.why) == ("quarantined", "a gap")
    assert standing.folder == "quarantine/id-1-try2"
    assert progress.count("done") == 3


def test_a_failure_that_passes_leaves_a_good_stack(tmp_path: Path) -> None:
    executor = FakeExecutor(P0=[BAD, GOOD])
    progress = Campaign(tmp_path, work_of(2), executor).run()
    assert progress.statuses["P0"].folder == "runs/id-0-try2"
    assert progress.count("done") == 2


def test_a_device_that_answers_again_was_the_stacks_fault_and_one_that_is_gone_stops(
    tmp_path: Path,
) -> None:
    executor = FakeExecutor(P0=[BROKEN, GOOD])
    assert Campaign(tmp_path, work_of(2), executor).run().count("done") == 2
    gone = FakeExecutor(P0=[BROKEN, GOOD])
    gone.missing = "the camera does not answer any more"
    (tmp_path / "gone").mkdir()
    campaign = Campaign(tmp_path / "gone", work_of(2), gone)
    with pytest.raises(DeviceError, match=r"any more\. The run ended with: it jammed"):
        campaign.run()
    gone.missing = None
    progress = campaign.run()
    # It goes on in the folder in which it was interrupted.
    assert gone.shot == [
        ("P0", "runs/id-0", False),
        ("P0", "runs/id-0", True),
        ("P1", "runs/id-1", False),
    ]
    assert progress.count("done") == 2


@pytest.mark.parametrize("end", [FULL, STOPPED])
def test_what_is_no_specimens_fault_stops_and_can_be_resumed(tmp_path: Path, end: RunEnd) -> None:
    executor = FakeExecutor(P1=[end, GOOD])
    campaign = Campaign(tmp_path, work_of(3), executor)
    assert end.error is not None
    with pytest.raises(type(end.error)):
        campaign.run()
    assert campaign.run().count("done") == 3
    assert [(key, on) for key, _, on in executor.shot] == [
        ("P0", False),
        ("P1", False),
        ("P1", True),
        ("P2", False),
    ]


def test_a_row_of_failures_stops(tmp_path: Path) -> None:
    executor = FakeExecutor(P1=[BAD], P2=[BAD], P3=[BAD])
    campaign = Campaign(tmp_path, work_of(6), executor)
    with pytest.raises(UnfinishedCampaign, match="3 stacks failed in a row"):
        campaign.run()
    assert [key for key, _, _ in executor.shot] == ["P0", "P1", "P2", "P3"]


def test_a_stack_put_off_is_come_back_to_where_it_was(tmp_path: Path) -> None:
    executor = FakeExecutor(P0=[Skipped("put off by the operator"), GOOD])
    progress = Campaign(tmp_path, work_of(2), executor).run()
    assert executor.shot == [
        ("P0", "runs/id-0", False),
        ("P1", "runs/id-1", False),
        ("P0", "runs/id-0", True),
    ]
    assert progress.statuses["P0"].failures == 0


def test_the_operator_stops_between_stacks(tmp_path: Path) -> None:
    executor = FakeExecutor()
    campaign = Campaign(tmp_path, work_of(2), executor)
    campaign.stop = "stopped after this stack"
    with pytest.raises(OperatorStop):
        campaign.run()
    assert executor.shot == []


def test_a_specimen_without_an_id_is_shot_into_quarantine_or_not_at_all(tmp_path: Path) -> None:
    plain = work_of(2)
    nameless = StackTask("P9", "P9", {}, StagePosition(9e3, 1e3), "", "", "", "", {})
    work = CampaignPlan("tray", (*plain.tasks, nameless), 0.0, 1, 3)
    executor = FakeExecutor()
    executor.unknown["P9"] = Identified(
        {"id": "unidentified-P9"}, "the list names no specimen there"
    )
    campaign = Campaign(tmp_path, work, executor)
    with pytest.raises(UnfinishedCampaign):
        campaign.run()
    assert executor.shot[-1][1] == "quarantine/unidentified-P9"
    progress = CampaignProgress.of(work, campaign.entries)
    assert progress.statuses["P9"].why == "the list names no specimen there"
    (tmp_path / "refused").mkdir()
    executor = FakeExecutor()
    executor.unknown["P9"] = IdentityError("no label can be read")
    campaign = Campaign(tmp_path / "refused", work, executor)
    with pytest.raises(UnfinishedCampaign):
        campaign.run()
    assert [key for key, _, _ in executor.shot] == ["P0", "P1"]
    assert CampaignProgress.of(work, campaign.entries).statuses["P9"].why == "no label can be read"


_ENDS = st.lists(st.sampled_from([GOOD, BAD, BROKEN, STOPPED]), min_size=1, max_size=4)


@settings(max_examples=30)
@given(scripts=st.lists(_ENDS, min_size=1, max_size=5), come_back=st.integers(0, 2))
def test_resumed_as_often_as_it_takes_every_stack_ends_done_or_in_quarantine(
    tmp_path_factory: pytest.TempPathFactory, scripts: list[list[RunEnd]], come_back: int
) -> None:
    work = work_of(len(scripts), come_back=come_back, stop_after=99)
    # In the end everything ends somehow.
    script: dict[str, Any] = {f"P{n}": [*ends, GOOD] for n, ends in enumerate(scripts)}
    executor = FakeExecutor(**script)
    campaign = Campaign(tmp_path_factory.mktemp("walk"), work, executor)
    for _ in range(4 * len(scripts) + 2):
        try:
            campaign.run()
        except OperatorStop:
            continue
        except UnfinishedCampaign:
            pass
        break
    progress = CampaignProgress.of(work, campaign.entries)
    assert progress.left == []
    for n, ends in enumerate(scripts):
        failures = sum(end in (BAD, BROKEN) for end in _until_good(ends))
        wanted = "quarantined" if failures > come_back else "done"
        assert progress.statuses[f"P{n}"].state == wanted


def _until_good(ends: list[RunEnd]) -> list[RunEnd]:
    return ends[: ends.index(GOOD)] if GOOD in ends else ends
