"""The tables of `tier-test`: every tier, the sizes from which an option can be left out, and the largest batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acestep.gpu_config import GPUConfig
from scripts.tracker.profiling.text_tables import WIDE, at_columns, banner, csv_text, markdown

COLUMNS = (2, 10, 21, 29, 40, 50, 63)
HEADER = ("VRAM", "Tier", "LM", "Duration", "Status", "Peak VRAM", "Notes")
RULE = "  " + "─" * 78
MARKS = {"ok": "✅ OK", "oom": "❌ OOM", "fail": "❌ FAIL", "timeout": "❌ TIMEOUT", "skip": "⏭ SKIP"}
CAPABILITIES = (
    ("No INT8 Quantization", "no-quant"),
    ("No CPU Offload (all models on GPU)", "no-offload"),
)
DEPENDS = "These depend on diffusion model, planner, duration, batch and attention kernel."


@dataclass(frozen=True)
class TierTest:
    """One generation at one simulated size.

    Attributes:
        size_gb: the size.
        config: what the tier says.
        variant: ``default``, ``no-quant``, ``no-offload``, ``batch-noLM-2``, ``batch-LM-2``, ...
        lm: size of the planner, "" without one.
        backend: its engine.
        offload, offload_dit, quantization: in effect.
        duration_s, batch: of the generation.
        status: ``ok``, ``oom``, ``fail``, ``timeout`` or ``skip``.
        reason: why it is not ok.
        stage: where it failed.
        peak_gb: the most that was taken up at once.
        vae_path: how audio was decoded.
        how: ``measured`` or ``computed``, and on what.
        wall_s: seconds, None if nothing was timed.
        stages_gb: the peak of each stage.
        footprint: of each stage that was run without storage, bytes of weights and peak, FLOP and operator calls.
    """

    size_gb: int
    config: GPUConfig
    variant: str
    lm: str
    offload: bool
    offload_dit: bool
    quantization: str | None
    duration_s: float
    batch: int
    status: str
    how: str
    backend: str = ""
    reason: str = ""
    stage: str = ""
    peak_gb: float | None = None
    vae_path: str = ""
    wall_s: float | None = None
    stages_gb: dict[str, float] | None = None
    footprint: dict[str, dict[str, int]] | None = None

    @property
    def notes(self) -> str:
        """What was seen, in a fixed order; of a test that did not pass, why."""
        if self.status != "ok":
            return f"{self.stage}: {self.reason}" if self.stage else self.reason
        seen = [{"cpu": "VAE decoded on CPU", "whole": "", "": ""}.get(self.vae_path.partition(" ")[0], "")]
        if self.vae_path.startswith("tiled"):
            seen.append(f"tiled VAE chunk={self.vae_path.partition(' ')[2]}")
        if self.lm:
            seen.append(f"{self.backend} backend")
        dit = " with DiT" if self.offload_dit else ""
        everything = "no offload" if self.quantization else "all models on GPU"
        seen.append(f"offload{dit}" if self.offload else everything)
        seen.append("int8" if self.quantization else "")
        return ", ".join([*filter(None, seen), self.how])


def results_table(tests: Sequence[TierTest], form: str = "table") -> str:
    """Every test; a column tells the variant if there are several."""
    variants = len({test.variant for test in tests}) > 1
    header = [*HEADER[:2], *(["Variant"] if variants else []), *HEADER[2:]]
    rows = [_row(test, variants) for test in tests]
    if form == "markdown":
        return markdown(header, rows)
    if form == "csv":
        return csv_text(header, rows)
    shift = 16 if variants else 0
    columns = [*COLUMNS[:2], *([COLUMNS[2]] if variants else []), *(column + shift for column in COLUMNS[2:])]
    lines = [at_columns(zip(columns, cells, strict=True)) for cells in (header, *rows)]
    return "\n".join(["TIER TEST RESULTS", "=" * WIDE, lines[0], RULE + "─" * shift, *lines[1:]])


def _row(test: TierTest, variants: bool) -> list[str]:
    peak = "—" if test.peak_gb is None else f"{test.peak_gb:.1f}GB"
    cells = [f"{test.size_gb}GB", test.config.tier, *([test.variant] if variants else []), test.lm or "—"]
    return [*cells, f"{test.duration_s:g}s", MARKS[test.status], peak, test.notes]


def boundary_table(tests: Sequence[TierTest]) -> str:
    """The size from which on all larger ones pass without quantization, and without offload."""
    lines = [banner("BOUNDARY ANALYSIS"), "The least size from which on every larger one that was tested passed.", ""]
    rows = []
    for label, variant in CAPABILITIES:
        counted = that_count(tests, variant)
        least = boundary(counted)
        failed = [test for test in counted if test.status != "ok"]
        passed = [test for test in counted if test.status == "ok"]
        lines.append(f"  {label}:")
        if not counted:
            lines.append("    no results")
        elif least is None:
            lines.append("    no tier passed" if not passed else "    the largest size failed")
        else:
            peak = "" if least.peak_gb is None else f", peak {least.peak_gb:.2f}GB"
            lines.append(f"    from {least.size_gb}GB ({least.config.tier}){peak}")
        if failed:
            last = max(failed, key=lambda test: test.size_gb)
            lines.append(f"    largest that failed: {last.size_gb}GB: {last.reason or last.status}")
        if failed and passed and min(test.size_gb for test in passed) < max(test.size_gb for test in failed):
            lines.append("    Note: a smaller size passed than one that failed; it is not counted.")
        tier, size = (least.config.tier, f"{least.size_gb}GB") if least else ("N/A", "N/A")
        rows.append(f"  {label:<45} {tier:<10} {size:>6}".rstrip())
    rule = "  " + "-" * 60
    return "\n".join(
        [*lines, "", rule, f"  {'Capability':<45} {'Min Tier':<10} {'VRAM':>6}", rule, *rows, rule, DEPENDS]
    )


def that_count(tests: Sequence[TierTest], variant: str) -> list[TierTest]:
    """The tests that show whether *variant* works: those of it, and those of tiers that run so by default."""

    def shows(test: TierTest) -> bool:
        if test.variant != "default":
            return test.variant == variant
        plain = not test.quantization
        return plain if variant == "no-quant" else plain and not test.offload and not test.offload_dit

    return [test for test in tests if test.status != "skip" and shows(test)]


def boundary(tests: Sequence[TierTest]) -> TierTest | None:
    """The smallest test from which on all larger ones passed, or None."""
    least = None
    for test in sorted(tests, key=lambda test: -test.size_gb):
        if test.status != "ok":
            break
        least = test
    return least


def batch_table(tests: Sequence[TierTest]) -> str:
    """The largest batch of each size, with and without a planner, and what the tier allows."""
    sizes = list(dict.fromkeys(test.size_gb for test in tests))
    first = [banner("BATCH BOUNDARY ANALYSIS", 120), _batch_line("VRAM", "Tier", *_BATCH_HEADER), "  " + "-" * 90]
    second = [_gap_line("VRAM", "Tier", *_GAP_HEADER), "  " + "-" * 110]
    for size in sizes:
        mine = [test for test in tests if test.size_gb == size]
        config = mine[0].config
        without, with_lm = (largest_batch(mine, half) for half in ("noLM", "LM"))
        first.append(_batch_line(f"{size}GB", config.tier, *_batch_cells(without), *_batch_cells(with_lm)))
        limits = (config.max_batch_size_without_lm, config.max_batch_size_with_lm)
        second.append(_gap_line(f"{size}GB", config.tier, *_gap_cells(limits, (without, with_lm))))
    return "\n".join(
        [*first, "  " + "-" * 90, "", *second, "  " + "-" * 110, f"A tested 8 means at least 8. {DEPENDS}"]
    )


def largest_batch(tests: Sequence[TierTest], half: str) -> TierTest | None:
    """The largest batch that passed with (``LM``) or without (``noLM``) a planner; a failed test if none; or None."""
    tried = [test for test in tests if test.variant.startswith(f"batch-{half}-") and test.status != "skip"]
    passed = [test for test in tried if test.status == "ok"]
    return max(passed, key=lambda test: test.batch) if passed else next(iter(tried), None)


_BATCH_HEADER = ("Max Batch (no LM)", "Peak VRAM", "Max Batch (with LM)", "Peak VRAM")
_GAP_HEADER = ("Config (no LM)", "Tested (no LM)", "Config (LM)", "Tested (LM)", "Recommendation")


def _batch_cells(test: TierTest | None) -> tuple[str, str]:
    if test is None:
        return "N/A", "-"
    if test.status != "ok":
        return "FAIL", "-"
    return str(test.batch), "-" if test.peak_gb is None else f"{test.peak_gb:.2f}GB"


def _batch_line(size: str, tier: str, without: str, peak: str, with_lm: str, lm_peak: str) -> str:
    return f"  {size:>6}  {tier:<12}  {without:>18}  {peak:>10}  {with_lm:>20}  {lm_peak:>10}"


def _gap_cells(limits: tuple[int, int], tested: tuple[TierTest | None, TierTest | None]) -> list[str]:
    found = [None if test is None else test.batch if test.status == "ok" else 0 for test in tested]
    changes = [
        f"{name}: {limit}→{batch}"
        for name, limit, batch in zip(("no_lm", "lm"), limits, found, strict=True)
        if batch and batch != limit
    ]
    told = ["N/A" if batch is None else str(batch) for batch in found]
    return [str(limits[0]), told[0], str(limits[1]), told[1], " and ".join(changes) or "OK"]


def _gap_line(size: str, tier: str, *cells: str) -> str:
    widths = (15, 15, 12, 12)
    middle = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
    return f"  {size:>6}  {tier:<12}  {middle}  {cells[4]}"
