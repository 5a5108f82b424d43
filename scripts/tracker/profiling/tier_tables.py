"""The tables of `tier-test`: every tier, the sizes from which an option can be left out, and the largest batches."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.tracker.profiling.text_tables import WIDE, at_columns, banner, csv_text, markdown
from scripts.tracker.profiling.tier_cases import TierResult

COLUMNS = (2, 10, 21, 29, 40, 50, 63)
HEADER = ("VRAM", "Tier", "LM", "Duration", "Status", "Peak VRAM", "Notes")
RULE = "  " + "─" * 78
MARKS = {"ok": "✅ OK", "oom": "❌ OOM", "fail": "❌ FAIL", "timeout": "❌ TIMEOUT", "skip": "⏭ SKIP"}
CAPABILITIES = (
    ("No INT8 Quantization", "no-quant"),
    ("No CPU Offload (all models on GPU)", "no-offload"),
)
DEPENDS = "These depend on diffusion model, planner, duration, batch and attention kernel."


def results_table(tests: Sequence[TierResult], form: str = "table") -> str:
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


def _row(test: TierResult, variants: bool) -> list[str]:
    peak = "—" if test.peak_gb is None else f"{test.peak_gb:.1f}GB"
    cells = [f"{test.size_gb}GB", test.config.tier, *([test.variant] if variants else []), test.lm or "—"]
    return [*cells, f"{test.duration_s:g}s", MARKS[test.status], peak, test.notes]


def boundary_table(tests: Sequence[TierResult]) -> str:
    """The size from which on all larger ones pass without quantization, and without offload."""
    lines = [banner("BOUNDARY ANALYSIS"), "The least size from which on every larger one that was tested passed.", ""]
    rows = []
    for label, variant in CAPABILITIES:
        counted = results_of_capability(tests, variant)
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


def results_of_capability(tests: Sequence[TierResult], variant: str) -> list[TierResult]:
    """The tests that show whether *variant* works: those of it, and those of tiers that run so by default."""

    def shows(test: TierResult) -> bool:
        if test.variant != "default":
            return test.variant == variant
        plain = not test.quantization
        return plain if variant == "no-quant" else plain and not test.offload and not test.offload_dit

    return [test for test in tests if test.status != "skip" and shows(test)]


def boundary(tests: Sequence[TierResult]) -> TierResult | None:
    """The smallest test from which on all larger ones passed, or None."""
    least = None
    for test in sorted(tests, key=lambda test: -test.size_gb):
        if test.status != "ok":
            break
        least = test
    return least


def batch_table(tests: Sequence[TierResult]) -> str:
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


def largest_batch(tests: Sequence[TierResult], half: str) -> TierResult | None:
    """The largest batch that passed with (``LM``) or without (``noLM``) a planner; a failed test if none; or None."""
    tried = [test for test in tests if test.variant.startswith(f"batch-{half}-") and test.status != "skip"]
    passed = [test for test in tried if test.status == "ok"]
    return max(passed, key=lambda test: test.batch) if passed else next(iter(tried), None)


_BATCH_HEADER = ("Max Batch (no LM)", "Peak VRAM", "Max Batch (with LM)", "Peak VRAM")
_GAP_HEADER = ("Config (no LM)", "Tested (no LM)", "Config (LM)", "Tested (LM)", "Recommendation")


def _batch_cells(test: TierResult | None) -> tuple[str, str]:
    if test is None:
        return "N/A", "-"
    if test.status != "ok":
        return "FAIL", "-"
    return str(test.batch), "-" if test.peak_gb is None else f"{test.peak_gb:.2f}GB"


def _batch_line(size: str, tier: str, without: str, peak: str, with_lm: str, lm_peak: str) -> str:
    return f"  {size:>6}  {tier:<12}  {without:>18}  {peak:>10}  {with_lm:>20}  {lm_peak:>10}"


def _gap_cells(limits: tuple[int, int], tested: tuple[TierResult | None, TierResult | None]) -> list[str]:
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
