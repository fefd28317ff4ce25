# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From an export to an explained estimate, in a notebook
#
# A quarter of an hour. Open this file as a notebook in Jupyter with jupytext installed, or make one
# of it: `jupytext --to ipynb docs/tutorial/notebook.py`. Each function does what a command does,
# with the same results; [the reference page](../reference/python.md) lists them all.
#
# **The patients are SIMULATED.** They were never treated, and everything learned from them is
# marked so.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ketamine_response as kr

# Data and runs go into this folder, and nowhere else.
home = Path("notebook-home")

# %% [markdown]
# ## 1. A messy export
#
# We make what a clinic might send: its own column names and words, semicolons and decimal commas,
# the length of the episode in years, and -99 for questions that were not asked.

# %%
patients = kr.simulate(1000, seed=21, world="strong")
patients = patients[patients["condition"] == "depression"].drop(columns="condition")
export = patients.assign(
    episode_months=patients["episode_months"] / 12,
    sex=patients["sex"].map({"female": "F", "male": "M"}),
    bmi=patients["bmi"].fillna(-99),
    entered_by="nurse 2",
).rename(
    columns={
        "patient_id": "Pat No",
        "episode_months": "Episode (years)",
        "failed_antidepressants": "Prior ADs",
        "phq9_acute": "PHQ after series",
    }
)
export.to_csv("export.csv", sep=";", decimal=",", index=False)

# %% [markdown]
# ## 2. Read it with a mapping
#
# A mapping says how their columns become [our fields](../reference/fields.md). A draft has a
# confidence and a question for each column, which only you can answer:

# %%
draft = kr.suggest_mapping("export.csv")
print("\n".join(draft.text.splitlines()[:12]))

# %% [markdown]
# Here the mapping is a dictionary; in a file ([TOML](../reference/mappings.md)) it looks the same
# and serves the commands, too. It can also join several tables.

# %%
mapping = {
    "delimiter": ";",
    "decimal": ",",
    "missing": ["-99"],
    "rename": {
        "Pat No": "patient_id",
        "Episode (years)": "episode_months",
        "PHQ after series": "phq9_acute",
    },
    "values": {"sex": {"F": "female", "M": "male"}},
    "units": {"episode_months": "years"},
    "constants": {"condition": "depression"},
}

# %% [markdown]
# A cohort is read completely or not at all. All problems come at once, with field, rule and rows,
# never a patient's value:

# %%
try:
    kr.read_cohort("export.csv", mapping)
except kr.InputError as error:
    problems = error.problems
[str(problem) for problem in problems]

# %% [markdown]
# We forgot one column, and another is of no use.

# %%
mapping["rename"]["Prior ADs"] = "failed_antidepressants"
mapping["ignore"] = ["entered_by"]
cohort = kr.read_cohort("export.csv", mapping)
cohort

# %% [markdown]
# Every row is accounted for; `cohort.report` shows the whole account, field by field.

# %%
cohort.account["courses"]

# %%
cohort.frame[
    ["patient_id", "sex", "phq9", "failed_antidepressants", "episode_months", "bmi"]
].head()

# %% [markdown]
# ## 3. Fit
#
# A study is everything that a run needs: keyword arguments as here, a study file, or both. This one
# is quick: fewer candidates and resamples than the defaults, which take minutes.

# %%
study = kr.Study(
    name="notebook",
    question="Who responds by the end of the acute series?",
    outcome="phq9.acute.response",
    seed=1,
    candidates=["base_rate", "severity_only", "elastic_net"],
    validation={"profile": "quick", "repeats": 1, "resamples": 100},
    uncertainty={"redevelopments": 20},
    gate={"redevelopments": 0},
)
result = kr.fit_study(study, cohort, jobs=1, home=home)
result

# %% [markdown]
# ## 4. Look at what was found
#
# Read the verdict first. If no candidate beats the base rate, that is a result: then the recorded
# fields do not predict the outcome. `result.findings` has every number, and `result.report` shows
# the whole report.

# %%
result.verdict

# %%
result.performance[["auc", "auc_low", "auc_high", "slope", "slope_low", "slope_high"]].round(2)

# %%
[(rule.name, rule.passed) for rule in result.findings.gate]

# %% [markdown]
# ### Held-out predictions
#
# One row per course and repeat, predicted by models that had not seen the patient. The identifiers
# are those of your cohort; they are in this frame alone.

# %%
held_out = result.held_out
held_out.head()

# %% [markdown]
# ### Calibration
#
# Do about 60 of 100 patients respond who were given 60%? Groups of equal size, and the curve of the
# report with its 95% band:

# %%
chosen = result.summary["chosen"]
groups = held_out.assign(group=np.ceil(held_out[chosen].rank(pct=True) * 5))
observed = groups.groupby("group")[[chosen, "outcome"]].mean()

figure, axes = plt.subplots(figsize=(4.5, 4.5))
axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
axes.scatter(observed[chosen], observed["outcome"], label="fifths of the patients")
if result.findings.calibration is not None:
    points = result.findings.calibration.points
    estimates = [point.estimate for point in points]
    axes.plot(estimates, [point.observed for point in points], label="smooth")
    lows, highs = [point.low for point in points], [point.high for point in points]
    axes.fill_between(estimates, lows, highs, alpha=0.2)
axes.set(xlabel="predicted", ylabel="observed", title="SIMULATED patients, held out")
axes.legend()
figure.savefig("calibration.png")

# %% [markdown]
# ## 5. Load the model, predict and explain
#
# `phq9.acute.response` means the champion, `…@challenger` the latest that was fitted, and `…@2`
# version 2.

# %%
model = kr.load_model(f"phq9.acute.response@{result.version}", home=home)
model

# %%
intake = kr.simulate(200, seed=22, world="strong", intake=True)
intake = intake[intake["condition"] == "depression"].set_index("patient_id", drop=False)
estimates = model.predict(intake)
estimates[["probability", "low", "high", "effective_sample_size", "base_rate", "abstained"]].head()

# %% [markdown]
# Outside of the studied range, without a baseline, or if an eligibility rule refuses, the model
# abstains and says why:

# %%
estimates["abstained"].value_counts(dropna=False)

# %% [markdown]
# What each field adds to the log-odds. A row's sum is the log-odds of its probability, exactly:

# %%
answered = estimates["probability"].notna()
factors = model.explain(intake)[answered]
log_odds = np.log(estimates["probability"] / (1 - estimates["probability"]))[answered]
assert np.allclose(factors.sum(axis=1), log_odds)
factors.loc[:, (factors != 0).any()].head()

# %% [markdown]
# One patient, as a dictionary. A row that breaks a rule stops the call; with `errors="column"` its
# problems are in a column of its own.

# %%
person = {"patient_id": "a17", "condition": "depression", "phq9": 17, "age": 44, "sex": "female"}
broken = person | {"patient_id": "a18", "phq9": 70}
model.predict([person, broken], errors="column")[["probability", "low", "high", "errors"]]

# %% [markdown]
# An estimate is a prognosis if treated, not the benefit of treatment.
#
# ## 6. Validate at another site
#
# Other patients, at sites that the model has never seen:

# %%
elsewhere = kr.simulate(500, seed=23, world="strong", new_sites=3)
elsewhere = elsewhere[elsewhere["condition"] == "depression"]
validation = kr.validate(model, elsewhere, home=home)
validation.performance[["auc", "auc_low", "auc_high", "slope", "ratio"]].round(2)

# %%
print(validation.findings.verdict)
report = validation.report.save("validation.html")

# %% [markdown]
# ## Where to go on
#
# - `kr.promote`, `kr.rollback` and `kr.history`: which version clinicians see
# - `kr.score`: a whole intake cohort with every champion
# - [Bring your own cohort](../how-to/bring-your-own-cohort.md), and
#   [how to read the report](../explanation/report.md)
