import dataclasses

import numpy as np
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation import compare, evaluate, metrics
from cofactor.evaluation.report import without_training_rows
from cofactor.model.objective import Objective


@pytest.fixture(scope="module")
def parts(ratings):
    return ratings.split_random(test_fraction=0.2, seed=0)


def model_of(train, score=3.0):
    """Predict one number for everyone, and know what was trained on."""
    model = cf.Factors.from_arrays(
        np.zeros((train.n_users, 1)),
        np.zeros((train.n_items, 1)),
        train.users,
        train.items,
        mean=score,
        seen=train.matrix,
    )
    return dataclasses.replace(model, objective=Objective(scale=(1.0, 5.0)))


def test_errors_are_those_of_the_definition():
    predicted, actual = np.array([1.0, 4.0, 3.0]), np.array([2.0, 2.0, 3.0])
    assert metrics.mean_squared_error(predicted, actual) == pytest.approx(5 / 3)
    assert metrics.root_mean_squared_error(predicted, actual) == pytest.approx((5 / 3) ** 0.5)
    assert metrics.mean_absolute_error(predicted, actual) == pytest.approx(1.0)


def test_a_report_has_the_errors_on_the_held_out_part(parts):
    train, test = parts
    report = evaluate(model_of(train), test)
    values = test.triplets().values.astype(float)
    assert report["mse"] == pytest.approx(np.mean((values - 3) ** 2))
    assert report["mae"] == pytest.approx(np.mean(np.abs(values - 3)))
    assert report.n_test == len(test)
    assert report.to_frame()["rmse"][0] == pytest.approx(report["mse"] ** 0.5)


def test_predictions_are_clipped_to_the_scale_by_default(parts):
    train, test = parts
    assert evaluate(model_of(train, 99.0), test)["mse"] == evaluate(model_of(train, 5.0), test)["mse"]
    assert evaluate(model_of(train, 99.0), test, clip=False)["mse"] > 1000


def test_training_rows_in_the_test_part_are_refused(parts):
    train, test = parts
    with pytest.raises(cf.DataError, match="720 of the 720 test ratings were in the training data"):
        evaluate(model_of(train), train)
    one = Interactions.from_rows(
        test.users, test.items, *(c[:1] for c in (train.triplets().user_rows, train.triplets().item_rows))
    )
    with pytest.raises(cf.DataError, match="1 of the 1 test ratings"):
        evaluate(model_of(train), one)


def test_training_rows_can_be_left_out(parts, ratings):
    train, test = parts
    model = model_of(train)
    left = without_training_rows(model, ratings)
    assert left.to_frame().sort("user", "item").equals(test.to_frame().sort("user", "item"))
    assert evaluate(model, left)["mse"] == pytest.approx(evaluate(model, test)["mse"])


def test_test_ratings_are_matched_by_id(parts):
    train, test = parts
    frame = test.to_frame()
    elsewhere = Interactions.from_columns(
        ["stranger", *frame["user"].reverse()],
        ["i1", *frame["item"].reverse()],
        np.array([1.0, *frame["value"].reverse()]),
    )
    report = evaluate(model_of(train), elsewhere)
    assert report["mse"] == pytest.approx(evaluate(model_of(train), test)["mse"])
    assert (report.n_test, report.n_unknown) == (len(test), 1)


def test_strangers_alone_cannot_be_measured(parts):
    strangers = Interactions.from_columns(["a"], ["b"])
    with pytest.raises(cf.DataError, match="none of the test ratings"):
        evaluate(model_of(parts[0]), strangers)


def test_a_comparison_has_a_row_for_each_solver(parts):
    @dataclasses.dataclass(frozen=True)
    class Constant:
        score: float

        def fit(self, train):
            return model_of(train, self.score)

    told = []
    comparison = compare([Constant(3.0), Constant(4.0)], *parts, done=lambda solver, report: told.append(solver))
    rows = comparison.to_frame()
    assert rows["solver"].to_list() == ["Constant"] * 2
    assert rows["mse"][0] == pytest.approx(evaluate(model_of(parts[0], 3.0), parts[1])["mse"])
    assert told == [Constant(3.0), Constant(4.0)]
