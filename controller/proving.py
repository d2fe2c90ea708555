"""What of a plan has to be proven from the images, and how far a run may go for it."""

from __future__ import annotations

from controller.instrument import Rig
from controller.plan import Plan
from controller.proof.defocus import Optics
from controller.proof.settings import ProofSettings
from controller.protocol import Protocol

_EXTRA_SLICES = 10


def proof_settings(plan: Plan, wanted: Protocol, rig: Rig) -> ProofSettings:
    """The settings of :class:`controller.proof.run_proof.RunProof` for one run."""
    proof = wanted.proof
    middle_um = (plan.near_um + plan.far_um) / 2
    dof = plan.optics.at(middle_um)
    extra = proof.extra_slices
    return ProofSettings(
        near_um=plan.near_um,
        far_um=plan.far_um,
        minimum_overlap=plan.minimum_overlap,
        planned_overlap=max(wanted.planned_overlap, plan.minimum_overlap),
        lowest_um=rig.axis.allowed_um[0],
        highest_um=plan.closest_approach_um,
        extra_slices=len(plan.slices) + _EXTRA_SLICES if extra is None else extra,
        extend_um=proof.extend * (plan.far_um - plan.near_um),
        reshoots=proof.reshoots,
        optics=Optics(
            magnification=plan.optics.magnification_at(middle_um),
            effective_f_number=dof.effective_f_number,
            pixel_pitch_um=rig.camera.pixel_pitch_um,
            wavelength_um=plan.optics.wavelength_um,
            dof_um=dof.limiting_um,
        ),
        policy=proof.faults.model_dump(),
    )
