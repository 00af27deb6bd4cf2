#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "scipy==1.17.1", "statsmodels==0.15.0"]
# ///
"""What other packages make of the same numbers: writes reference.json, which the Rust tests read.

    python3 -m venv /tmp/reference
    /tmp/reference/bin/pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
    /tmp/reference/bin/python harness/src/stats/reference/reference.py

Run it again when a case is added, never to make a test pass. It takes some ten seconds.
"""

import json
import math
import pathlib
from types import SimpleNamespace

import numpy as np
import scipy
import scipy.stats as st
import statsmodels
from statsmodels.stats.multitest import multipletests

STATISTICS = {
    "mean": lambda x, axis=-1: np.mean(x, axis=axis),
    "median": lambda x, axis=-1: np.median(x, axis=axis),
    # Biased and skewed on purpose: both corrections of BCa are large.
    "deviation": lambda x, axis=-1: np.std(x, axis=axis),
}


def rounded(values):
    """Samples as they are written down, so that both sides start from the same numbers."""
    return [float(f"{v:.6g}") for v in values]


def samples():
    rng = np.random.default_rng(20240607)
    return {
        # As blocks are: 5% apart, 1.5% of noise.
        "normal12": rounded(rng.normal(0.05, 0.015, 12)),
        "odd11": rounded(rng.normal(-0.01, 0.02, 11)),
        "outlier12": rounded([*rng.normal(0.0, 0.01, 11), 0.4]),
        "skewed9": rounded(rng.exponential(1.0, 9)),
        # Eight multiples of 1/64, of which all is exact: which resamples equal the sample must not hang on how
        # an addition is rounded.
        "ties8": [v / 64 for v in (1, 2, 2, 3, -1, 5, 2, 4)],
        "many30": rounded(rng.lognormal(0.0, 0.5, 30)),
    }


def bca_samples():
    """Every sample with every statistic, but where scipy has no interval: it divides 0 by 0 where the statistic
    is the same whichever value is left out."""
    for number, (name, sample) in enumerate(samples().items()):
        for statistic_name, statistic in STATISTICS.items():
            left_out = [statistic(np.delete(sample, i)) for i in range(len(sample))]
            if np.ptp(left_out) > 0:
                yield number, f"{name} {statistic_name}", np.array(sample), statistic_name, statistic


def shared_indices(n, resamples, state):
    """Indices of resamples from a generator that is two lines in any language (Knuth's MMIX)."""
    rows = []
    for _ in range(resamples):
        row = []
        for _ in range(n):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            row.append((state >> 33) % n)
        rows.append(row)
    return np.array(rows)


def bca_shared():
    """The same resamples on both sides: nothing is left to chance."""
    cases = []
    for number, name, x, statistic_name, statistic in bca_samples():
        n, resamples, seed = len(x), 1999, 1000 + number
        replicates = statistic(x[shared_indices(n, resamples, seed)])
        observed = statistic(x)
        # By the book (Efron and Tibshirani 1993, 14.14 and 14.15), not by way of scipy.
        below = np.mean(replicates < observed) + np.mean(replicates == observed) / 2
        left_out = np.array([statistic(np.delete(x, i)) for i in range(n)])
        away = left_out.mean() - left_out
        acceleration = np.sum(away**3) / (6 * np.sum(away**2) ** 1.5)
        intervals = []
        for confidence in (0.5, 0.9, 0.95, 0.99):
            interval = st.bootstrap(
                (x,), statistic, method="BCa", confidence_level=confidence, n_resamples=0,
                bootstrap_result=SimpleNamespace(bootstrap_distribution=replicates),
            ).confidence_interval
            intervals.append([confidence, float(interval.low), float(interval.high)])
        cases.append({
            "name": name, "sample": x.tolist(), "statistic": statistic_name, "resamples": resamples,
            "seed": seed, "bias": float(st.norm.ppf(below)), "acceleration": float(acceleration),
            "intervals": intervals,
        })
    return cases


def bca_seeds():
    """Another generator on each side: the ends agree as means over seeds."""
    cases = []
    for _, name, x, statistic_name, statistic in bca_samples():
        ends = np.array([
            st.bootstrap((x,), statistic, method="BCa", confidence_level=0.95, n_resamples=10_000,
                         rng=np.random.default_rng(seed)).confidence_interval
            for seed in range(40)
        ])
        cases.append({
            "name": name, "sample": x.tolist(), "statistic": statistic_name, "confidence": 0.95,
            "seeds": len(ends), "mean": ends.mean(axis=0).tolist(),
            "deviation": ends.std(axis=0, ddof=1).tolist(),
        })
    return cases


def differences():
    rng = np.random.default_rng(7)
    cases = [[0.3, 0.1], [0.2, -0.5, 0.1], [0.1, 0.1, 0.1, 0.1, -0.1], [0.0, 0.3, 0.1, 0.2]]
    cases += [rounded(rng.normal(0.6 * k % 1.3, 1.0, n)) for k, n in enumerate(range(4, 19))]
    # Ties, as of figures that were rounded; the last two with zeros.
    cases += [[float(v) for v in rng.integers(-3, 6, n)] for n in (6, 8, 11, 12, 14)]
    cases += [samples()[name] for name in ("normal12", "odd11", "outlier12", "ties8")]
    return cases


def exact(statistic, d):
    return st.permutation_test((d,), statistic, permutation_type="samples", vectorized=True,
                               n_resamples=math.inf, batch=4096).pvalue


def sign_flip():
    return [{"differences": d, "p": float(exact(STATISTICS["mean"], np.array(d)))} for d in differences()]


def wilcoxon():
    rng = np.random.default_rng(11)
    untied = [rounded(rng.normal(0.3, 1.0, n)) for n in (20, 25, 33, 40, 50)]
    cases = []
    for d in differences() + untied:
        nonzero = np.array([v for v in d if v != 0])
        if len(set(abs(nonzero))) == len(nonzero):
            p = st.wilcoxon(nonzero, method="exact").pvalue
        else:
            # scipy's own table knows no ties: enumerate the signs over the mean ranks instead.
            ranks = st.rankdata(abs(nonzero))
            p = exact(lambda x, axis=-1: np.sum(ranks * (x > 0), axis=axis), nonzero)
            method = st.PermutationMethod(n_resamples=math.inf, batch=4096)
            assert math.isclose(p, st.wilcoxon(nonzero, method=method).pvalue, abs_tol=1e-12), d
        cases.append({"differences": d, "p": float(p)})
    return cases


def holm():
    rng = np.random.default_rng(3)
    families = [
        [0.04], [0.01, 0.02, 0.03, 0.04], [0.04, 0.01, 0.02, 0.03], [0.01, 0.01, 0.5, 0.01], [1.0, 1.0],
        [2 / 4096] * 45, rounded(rng.uniform(0, 1, 45) ** 4), rounded(rng.uniform(0, 0.1, 190)),
    ]
    return [{"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()} for p in families]


def quantile():
    levels = [0.0, 0.025, 0.05, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0]
    return [{"values": x, "quantiles": [[p, float(np.quantile(x, p, method="linear"))] for p in levels]}
            for x in [*samples().values(), [3.0], [2.0, 1.0]]]


def normal():
    points = [-8.0, -3.5, -1.959963984540054, -0.1, 0.0, 0.5, 1.0, 1.6448536269514722, 4.0]
    levels = [1e-10, 0.0005, 0.025, 0.1, 0.49995, 0.5, 0.9, 0.975, 0.99995]
    return {"cdf": [[x, float(st.norm.cdf(x))] for x in points],
            "inverse": [[p, float(st.norm.ppf(p))] for p in levels]}


def main():
    reference = {
        "made_by": {"script": "reference.py", "numpy": np.__version__, "scipy": scipy.__version__,
                    "statsmodels": statsmodels.__version__},
        "normal": normal(), "quantile": quantile(), "holm": holm(), "sign_flip": sign_flip(),
        "wilcoxon": wilcoxon(), "bca_shared": bca_shared(), "bca_seeds": bca_seeds(),
    }
    # A case a line: a change is seen in a diff.
    lines = []
    for key, value in reference.items():
        if isinstance(value, list):
            inner = ",\n".join(f"  {json.dumps(case, allow_nan=False)}" for case in value)
            lines.append(f"{json.dumps(key)}: [\n{inner}\n]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    pathlib.Path(__file__).with_name("reference.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
