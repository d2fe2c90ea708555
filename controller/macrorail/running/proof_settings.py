"""Settings of the image proof for a run, such as the number of slices that the proof may add."""

from __future__ import annotations

import math

from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.planning.plan import Plan
from macrorail.proof.defocus import ClaimedOptics
from macrorail.proof.settings import FUSE, ProofSettings

_EXTRA_SLICES = 10


def proof_settings(plan: Plan, wanted: Protocol, rig: Rig, added: int = 0) -> ProofSettings:
    """Return the settings of :class:`macrorail.proof.proof_process.ProofProcess` for one run.

    Parameters
    ----------
    plan, wanted, rig
        Plan, protocol and rig of the run.
    added
        Number of slices that the proof added before the run was interrupted; they count towards
        the limit of added slices.
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
    """Return the action for each kind of image fault, from the protocol or by default."""
    remedies = wanted.proof.faults
    policy: dict[str, str] = remedies.model_dump()
    if wanted.exposure.bracket_ev is not None and "exposure" not in remedies.model_fields_set:
        # Exposure fusion weights by contrast, so the brightness of a merged picture depends on what
        # is sharp in it. Shooting the same bracket again would give the same brightness.
        policy["exposure"] = FUSE
    return policy


def _claimed_optics(plan: Plan, rig: Rig, middle_um: float) -> ClaimedOptics:
    """Return the optics from which the proof computes the blur of planes that are out of focus."""
    dof, m = plan.optics.at(middle_um), plan.optics.magnification_at(middle_um)
    effective = dof.effective_f_number
    if rig.axis.far_focus is not None:
        # Positions are counted on the image side, where magnification is 1.
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
