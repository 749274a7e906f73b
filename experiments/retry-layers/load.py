"""Customers who ask for a price: the shop asks *prices*, which asks *stock*."""

import random

from locust import FastHttpUser, between, task

PRODUCTS = 24


class Customer(FastHttpUser):
    """Somebody who compares prices."""

    wait_time = between(0.5, 1.5)

    @task
    def ask_for_a_price(self) -> None:
        """One product."""
        self.client.get(f"/price/{random.randint(1, PRODUCTS)}", name="/price")
