"""Make the tutorial's notebook from tutorial.py and run it: python examples/build.py."""

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def cells_of(text):
    """Return the cells of a Python file in percent format, as a notebook has them."""
    cells = []
    for kind, body in re.findall(r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", text, re.DOTALL | re.MULTILINE):
        lines = body.strip().splitlines()
        if kind:
            prose = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
            cells.append(nbformat.v4.new_markdown_cell(prose))
        else:
            cells.append(nbformat.v4.new_code_cell("\n".join(lines)))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # random ids would change the file on every run
    return cells


def notebook_of(source):
    """Return the notebook of a percent file, without output."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells_of(source.read_text(encoding="utf-8")), metadata=kernel)


def run(notebook, folder):
    """Run every cell in a folder; leave out what differs between runs or names the machine."""
    done = NotebookClient(notebook, timeout=170, resources={"metadata": {"path": str(folder)}}).execute()
    done.metadata.pop("language_info", None)
    for cell in done.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return done


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        finished = run(notebook_of(FOLDER / "tutorial.py"), folder)
    nbformat.write(finished, FOLDER / "tutorial.ipynb")
    sys.stdout.write(f"wrote {FOLDER / 'tutorial.ipynb'}\n")
