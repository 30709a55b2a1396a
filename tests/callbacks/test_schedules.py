"""Schedules as functions, against the paper's equation and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_asm import (
    AccuracyStepSchedule,
    AlphaCosineSchedule,
    AlphaLinearSchedule,
    AlphaSchedule,
    AlphaStepSchedule,
)
from keras_asm.callbacks import cosine_schedule, linear_schedule, step_schedule


@given(epochs=st.integers(1, 1000), data=st.data())
def test_steps_are_those_of_equation_10(epochs, data):
    epoch = data.draw(st.integers(0, epochs - 1))
    expected = 2.0 if 3 * epoch < epochs else 1.0 if 3 * epoch < 2 * epochs else 0.5
    assert step_schedule(epoch, epochs) == expected


def test_paper_run_of_150_epochs():
    alphas = [step_schedule(epoch, 150) for epoch in range(150)]
    assert alphas == [2.0] * 50 + [1.0] * 50 + [0.5] * 50
    assert [step_schedule(epoch, 150) for epoch in (150, 200, 1000)] == [0.5] * 3  # beyond the run


def test_straight_line():
    np.testing.assert_allclose([linear_schedule(e, 11, 3.0, 1.0) for e in range(11)], np.linspace(3, 1, 11))


def test_half_cosine():
    expected = 1 + np.cos(np.linspace(0, np.pi, 11))
    np.testing.assert_allclose([cosine_schedule(e, 11) for e in range(11)], expected, atol=1e-12)


@pytest.mark.parametrize("schedule", [linear_schedule, cosine_schedule])
def test_ends(schedule):
    assert schedule(0, 1) == 2.0
    assert schedule(99, 10) == pytest.approx(0.0)
    assert [schedule(epoch, 2) for epoch in (0, 1)] == pytest.approx([2.0, 0.0])


def test_callbacks_give_their_values_to_the_functions():
    line, wave = np.linspace(0.9, 0.3, 7), 0.6 + 0.3 * np.cos(np.linspace(0, np.pi, 7))
    for make, expected in ((AlphaLinearSchedule, line), (AlphaCosineSchedule, wave)):
        callback = make(0.9, 0.3, epochs=7)
        assert callback.epochs == 7
        found = [callback.value_at(epoch, 7, loss=None) for epoch in range(7)]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        by_default = make()
        assert by_default.epochs is None
        ends = [by_default.value_at(epoch, 7, loss=None) for epoch in (0, 6)]
        assert ends == pytest.approx([2.0, 0.0])


def test_the_ends_of_what_is_allowed():
    assert AlphaStepSchedule((0,), epochs=1).value_at(0, 1, loss=None) == 0.0
    assert AlphaLinearSchedule(0.0, 0.0).value_at(3, 9, loss=None) == 0.0
    assert AlphaCosineSchedule(0.0, 0.0).value_at(3, 9, loss=None) == 0.0
    assert AccuracyStepSchedule((1e-9, 1)).accuracies == (1e-9, 1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AlphaStepSchedule(()),
        lambda: AlphaStepSchedule((1, -1)),
        lambda: AlphaLinearSchedule(-1.0),
        lambda: AlphaCosineSchedule(1.0, -1.0),
        lambda: AlphaSchedule(0.5),
        lambda: AccuracyStepSchedule(()),
        lambda: AccuracyStepSchedule((0.5, 1.5)),
        lambda: AlphaStepSchedule(epochs=0),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(ValueError, match="Received: "):
        make()


def test_the_length_as_first_argument_is_explained():
    for schedule in (AlphaStepSchedule, AccuracyStepSchedule):
        with pytest.raises(ValueError, match="the length of the schedule is epochs="):
            schedule(150)
