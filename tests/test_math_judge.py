"""The judge for formulas: its process, its limits, and what it leaves to the numbers."""

import subprocess
import sys
import threading

import pytest

pytest.importorskip("math_verify")

from ssr_nb.judge import check_judge, judge, rule_of
from ssr_nb.math_judge import Comparer, compared, final_formula, shape, taken_apart
from ssr_nb.records import Example, Response


@pytest.fixture(scope="module")
def comparer():
    found = Comparer()
    yield found
    found.close()


def test_the_library_is_loaded_by_the_other_process_alone():
    code = ("import sys\nfrom ssr_nb.judge import rule_of\nfrom ssr_nb.records import Example\n"
            "print(rule_of('math')(Example('q', r'2\\sqrt{5}'), r'\\sqrt{20}').label)\n"
            "print({'math_verify', 'sympy', 'torch'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["correct", "set()"], done.stderr


def test_threads_share_a_process(comparer):
    answers, pairs = {}, [(f"x + {i}", f"{i} + x" if i % 2 else f"{i + 1} + x") for i in range(12)]

    def ask(i):
        answers[i] = comparer.same(*pairs[i])[0]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {i: bool(i % 2) for i in range(12)}


def test_a_comparison_that_takes_too_long_is_a_doubt_and_the_next_one_is_made():
    quick = Comparer(seconds=0.0001)
    assert quick.same("x + 2", "2 + x")[0] is True  # the first one may wait for the library
    slow = r"\int_0^1 \frac{\sin(x^5 + \log(1 + x^7))}{1 + x^{11} + e^{x^3}} dx"
    assert quick.same(slow, "0.3") == (None, "a comparison that failed, or took too long") and quick.process is None
    assert quick.same("x + 1", "1 + x")[0] is True
    quick.close()


def test_a_comparison_that_was_interrupted_leaves_no_reply_for_the_next_one():
    "Ctrl-C comes while the reply is awaited; it is there a moment later, and must not pass for that to another pair."
    found = Comparer()
    try:
        assert found.same("2", "3") == (False, "")
        found.replies.get = lambda timeout: (_ for _ in ()).throw(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            found.same("x", "x")
        assert found.process is None
        assert [found.same(*pair)[0] for pair in (("x", "y"), ("x", "x"))] == [False, True]
    finally:
        found.close()


def test_a_process_that_dies_is_a_doubt_and_another_is_begun(comparer):
    assert comparer.same("2", "2")[0] is True
    comparer.process.kill()
    comparer.process.wait()
    assert comparer.same("2", "2")[0] is None and comparer.same("2", "2")[0] is True


@pytest.mark.parametrize("text, formula", [
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"), ("#### (2, 5)", "(2, 5)"), ("The answer is $x = 5$.", "x = 5"), ("$x^2$", "x^2"),
    ("First, $a = 1$.\nSo the answer is $a + 1$.", "a + 1"), (r"\(\boxed{5}\)", "5"), (r"It is \[ 7\pi \].", r"7\pi"),
    ("**Answer:** $[1, 2)$", "[1, 2)"), ("Therefore $x > 2$.", "x > 2")])
def test_final_formulas(text, formula):
    found, why = final_formula(text)
    assert (found.strip(), why) == (formula, "")


@pytest.mark.parametrize("text", ["", "$x$ or $y$", r"\boxed{1} \boxed{2}", "not $5$", "I guess $5$", "$5$?", "$a = 1$. And then?",
                                  r"\boxed{5} is wrong", "#### 5\nWait, it is 6."])
def test_formulas_in_doubt(text):
    assert final_formula(text)[1]


@pytest.mark.parametrize("gold, said, same", [
    ("42 kg", "42 g", None), ("42 kg", "42", True), ("42", "42 kg", True), ("x = 5", "y = 5", None), ("x = 5", "5", True),
    ("(1, 2)", r"\{1, 2\}", None), ("(1, 2)", "(2, 1)", False), ("5", "4 + 1", None), ("5", "five", None), ("9^{9^{9^9}}", "9", None),
    (r"\frac{1}{0}", "2", None), ("x" * 400, "x", None), ("1 2", "12", False)])
def test_compared(comparer, gold, said, same):
    assert compared(gold, said, comparer)[0] is same


def test_numbers_are_read_as_the_judge_of_numbers_reads_them():
    examples = [Example("q", gold, id=str(i)) for i, gold in enumerate(["1234.5", "#### 12", "18", "18"])]
    said = ["1.234,50", "3 * 4 = 12 eggs", "18 or 20", r"\boxed{18}"]
    verdicts = judge(examples, [Response(str(i), text) for i, text in enumerate(said)], {"name": "math", "seconds": 20})
    assert [v.label for v in verdicts] == ["correct", "correct", "unparsed", "correct"]
    assert {v.judge for v in verdicts} == {"math seconds=20"}


def test_options():
    with pytest.raises(ValueError, match="seconds=0; expected a number above 0"):
        check_judge({"name": "math", "seconds": 0})
    assert rule_of("math").__name__ == "math"


def test_parts_and_shapes():
    assert taken_apart(r"90^\circ").unit == taken_apart("90°").unit == "°" and taken_apart("5 dozen").unit == ""
    assert shape("1,000") == shape("1000") != shape("1, 000") and shape(r"\left(1, 2\right]") != shape("(1, 2)")
