"""Make the tables and figures of the reproduction from the files that finished runs left, and from nothing else.

    python examples/paper_report.py --results output/reproduction                            # prints the tables
    python examples/paper_report.py --results output/reproduction --pages mine.md            # writes them into a page
    python examples/paper_report.py --results output/reproduction --figures output/figures --dataset 300w --root PATH

Without `--dataset` the figures are error distributions only; with it, predictions are drawn on its faces too.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from paper.data import add_data_arguments, load_faces
from paper.figures import write_ced, write_overlays
from paper.groups import Experiment, group_runs
from paper.records import read_records
from paper.tables import make_blocks, read_peers

_BLOCK = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
_MARKER = re.compile(r"<!-- (?:begin|end): .*?-->")


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_arguments(arguments)
    experiments = group_runs(read_records(args.results))
    blocks = make_blocks(experiments, read_peers(args.results))
    if not any(blocks.values()):
        print(
            f"Expected finished runs. Received: none below {' '.join(map(str, args.results))}",
            file=sys.stderr,
        )
        return 1
    if not args.pages:
        print("\n\n".join(text for text in blocks.values() if text))
    if args.figures is not None:
        write_figures(experiments, args)
    return max((update_page(page, blocks, args.check) for page in args.pages), default=0)


def update_page(path: Path, blocks: Mapping[str, str], check: bool) -> int:
    """Fill the blocks of a page, or only check that they are current; gives the exit status."""
    before = path.read_text(encoding="utf-8")
    after = fill_blocks(before, blocks)
    if before == after:
        return 0
    if check:
        print(f"{path} is not what the results give; run this without --check", file=sys.stderr)
        return 1
    path.write_text(after, encoding="utf-8")
    return 0


def fill_blocks(page: str, blocks: Mapping[str, str]) -> str:
    """Put texts between the markers `<!-- begin: NAME -->` and `<!-- end: NAME -->` of a page.

    Args:
        page: Markdown. It may lack blocks.
        blocks: texts by name.

    Returns:
        The page, the same outside of its blocks.

    Raises:
        ValueError: If a marker has no partner, or a block is unknown.
    """
    found = list(_BLOCK.finditer(page))
    if 2 * len(found) != len(_MARKER.findall(page)):
        raise ValueError(
            "Each '<!-- begin: NAME -->' needs its '<!-- end: NAME -->', and nothing else between. "
            f"Received: {_MARKER.findall(page)}"
        )
    unknown = [match[2] for match in found if match[2] not in blocks]
    if unknown:
        raise ValueError(f"The blocks are {list(blocks)}. Received: {unknown}")

    def filled(match: re.Match[str]) -> str:
        text = blocks[match[2]]
        return f"{match[1]}\n{text}\n\n{match[3]}" if text else f"{match[1]}{match[3]}"

    return _BLOCK.sub(filled, page)


def write_figures(experiments: Sequence[Experiment], args: argparse.Namespace) -> None:
    """Write what can be drawn, and say where."""
    written = write_ced(experiments, args.figures)
    shown = [experiment for experiment in experiments if experiment.setting.dataset == args.dataset]
    for image_size in dict.fromkeys(experiment.setting.values.image_size for experiment in shown):
        faces = load_faces(args, image_size)
        for experiment in shown:
            if experiment.setting.values.image_size == image_size:
                written += write_overlays(experiment, faces, args.results, args.figures)
    print(*written, sep="\n")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results",
        nargs="+",
        type=Path,
        default=[Path("output/reproduction")],
        help="folders with the files of runs, at any depth",
    )
    parser.add_argument(
        "--pages",
        nargs="+",
        type=Path,
        default=[],
        help="Markdown pages whose generated blocks are rewritten",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not current")
    parser.add_argument("--figures", type=Path, help="folder to write figures to")
    add_data_arguments(parser)
    parser.set_defaults(dataset=None)
    args = parser.parse_args(arguments)
    if args.check and not args.pages:
        parser.error("--check needs --pages, the pages to check")
    return args


if __name__ == "__main__":
    sys.exit(main())
