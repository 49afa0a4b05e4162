"""Progress bars in log files."""

import io

from tqdm import tqdm

from dataset.progress_lines import ProgressLines


def lines_of(seconds: float, write) -> list[str]:
    stream = io.StringIO()
    progress = ProgressLines(stream, seconds)
    write(progress)
    progress.finish()
    return stream.getvalue().split("\n")


def test_a_bar_is_a_line_now_and_then_and_its_last_one():
    def bar(file):
        for _ in tqdm(range(2000), file=file, mininterval=0, miniters=1):
            pass

    many, few = lines_of(0, bar), lines_of(3600, bar)
    assert len(many) > 1000
    assert len(few) == 3 and "0/2000" in few[0] and "2000/2000" in few[1]
    assert all("\r" not in line for line in (*many, *few))


def test_other_text_passes_at_once_and_unchanged():
    stream = io.StringIO()
    progress = ProgressLines(stream)
    progress.write("a prompt: ")
    assert stream.getvalue() == "a prompt: "
    progress.write("one\n\ntwo\n")
    assert stream.getvalue() == "a prompt: one\n\ntwo\n"


def test_an_error_after_an_unfinished_bar_has_a_line_of_its_own():
    def broken(file):
        file.write("\r 50% half")
        file.write("\nerror: no video\n")

    assert lines_of(3600, broken) == [" 50% half", "error: no video", ""]
