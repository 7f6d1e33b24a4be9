"""What items look like: similar ones alike, and pictures only from this site."""

import numpy as np
import polars as pl

import cofactor as cf
from cofactor.apps.web.looks import hues, images
from cofactor.solvers import ImplicitALS


def model_of(ratings, **columns):
    table = ratings.item_table.with_columns(**columns) if columns else ratings.item_table
    return ImplicitALS(rank=6, epochs=4).fit(ratings.with_items(table))


def test_similar_items_have_similar_hues():
    model = model_of(cf.load_dataset("synthetic:200x80x6000"))
    found = hues(model)
    assert found.min() >= 0
    assert found.max() < 360
    apart = np.abs(found[:, None] - found[None])
    apart = np.minimum(apart, 360 - apart)
    unit = model.item_vectors / np.linalg.norm(model.item_vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit.T), axis=1)[:, 1:4]
    assert np.take_along_axis(apart, nearest, axis=1).mean() < 0.7 * apart.mean()
    assert (hues(model) == found).all()


def test_only_pictures_of_this_site_are_shown():
    ratings = cf.load_dataset("synthetic:60x8x300")
    said = ["/covers/1.jpg", "covers/2.jpg", "https://else.where/3.jpg", "//else.where/4.jpg", "javascript:alert(1)",
            "data:image/png;base64,AAAA", None, " ../5.png "]  # fmt: skip
    shown = images(model_of(ratings, image=pl.Series(said)))
    assert shown == ["/covers/1.jpg", "covers/2.jpg", None, None, None, "data:image/png;base64,AAAA", None, "../5.png"]
    assert images(model_of(ratings)) == [None] * 8
