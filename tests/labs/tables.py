"""Tables to make projects from."""

import random


def customers(rows=400, *, seed=3):
    """Columns of every kind; the label hangs on the balance, the plan and on luck."""
    draw = random.Random(seed)
    lines = ["customer,household,plan,visits,balance,age,comment,constant,churned"]
    for number in range(rows):
        plan = draw.choice(["basic", "plus", "pro"])
        balance = draw.gauss(100, 30)
        chance = 0.15 + 0.3 * (plan == "basic") + 0.4 * (balance < 90)
        age = "" if draw.random() < 0.1 else str(draw.randint(18, 90))
        churned = "yes" if draw.random() < chance else "no"
        known = f"{1000 + number},{number // 2},{plan},{draw.randint(0, 9)},{balance:.2f},{age}"
        lines.append(f"{known},note {number},x,{churned}")
    return "\n".join(lines) + "\n"


def breast_cancer():
    """scikit-learn's table of 569 tumours, with words for the classes."""
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).frame
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    frame["diagnosis"] = frame.pop("target").map({0: "malignant", 1: "benign"})
    return frame.to_csv(index=False)
