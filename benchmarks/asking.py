"""What one client of `serving` does, for locust: asks one question after the other."""

import itertools
import json
import os
import random
from pathlib import Path

from locust import FastHttpUser, constant, task

QUESTIONS = json.loads(Path(os.environ["QUESTIONS"]).read_text())
_number = itertools.count()


class Asker(FastHttpUser):
    wait_time = constant(0)

    def on_start(self) -> None:
        order = random.Random(next(_number))
        self.questions = itertools.cycle(order.sample(QUESTIONS, len(QUESTIONS)))

    @task
    def search(self) -> None:
        with self.client.get("/search", params={"q": next(self.questions)}, name="/search", catch_response=True) as answer:
            if answer.status_code != 200 or not answer.json()["hits"]:
                answer.failure(f"status {answer.status_code}")
