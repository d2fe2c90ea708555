"""What has to be proven from the images of a run, and how many slices may be added for it."""

from __future__ import annotations

import math

from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.planning.plan import Plan
from macrorail.proof.defocus import ClaimedOptics
from macrorail.proof.settings import FUSE, ProofSettings

_EXTRA_SLICES = 10


def proof_settings(plan: Plan, wanted: Protocol, rig: Rig, added: int = 0) -> ProofSettings:
    """The settings of :class:`macrorail.proof.proof_process.ProofProcess` for one run.

    Parameters
    ----------
    added
        Slices that were inserted before the run was interrupted; they count.
    """
    proof = wanted.proof
    middle_um = (plan.near_um + plan.far_um) / 2
    extra = proof.extra_slices
    far = rig.axis.far_focus
    return ProofSettings(
        near_um=plan.near_um,
        far_um=plan.far_um,
        minimum_overlap=plan.minimum_overlap,
        planned_overlap=max(wanted.planned_overlap, plan.minimum_overlap),
        lowest_um=rig.axis.allowed_um[0],
        highest_um=plan.closest_approach_um,
        extra_slices=max(0, (len(plan.slices) + _EXTRA_SLICES if extra is None else extra) - added),
        extend_um=proof.extend * (plan.far_um - plan.near_um),
        reshoots=proof.reshoots,
        optics=_claimed_optics(plan, rig, middle_um),
        policy=_policy(wanted),
        resolution_um=plan.resolution_um_at(middle_um) or 0.0,
        nothing_beyond_um=math.inf if far is None else far.infinity_um,
    )


def _policy(wanted: Protocol) -> dict[str, str]:
    """What to do about each fault, as the protocol says or by default."""
    remedies = wanted.proof.faults
    policy: dict[str, str] = remedies.model_dump()
    if wanted.exposure.bracket_ev is not None and "exposure" not in remedies.model_fields_set:
        # Exposure fusion weighs by contrast: how bright a merged picture is follows what is sharp
        # in it, and the same bracket once more gives the same.
        policy["exposure"] = FUSE
    return policy


def _claimed_optics(plan: Plan, rig: Rig, middle_um: float) -> ClaimedOptics:
    """The optics that blur what is beside the plane in focus, along the axis's positions."""
    dof, m = plan.optics.at(middle_um), plan.optics.magnification_at(middle_um)
    effective = dof.effective_f_number
    if rig.axis.far_focus is not None:
        # Positions count on the image's side, where a step is as long as its image: life size.
        effective /= (1 + m / plan.optics.pupil_ratio) ** 2
        m = 1.0
    return ClaimedOptics(
        magnification=m,
        effective_f_number=effective,
        pixel_pitch_um=rig.camera.pixel_pitch_um,
        wavelength_um=plan.optics.wavelength_um,
        dof_um=dof.limiting_um,
        index=plan.optics.immersion,
    )
