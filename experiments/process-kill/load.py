"""A shop's ordinary customers: they mostly look, some fill their carts.

Any locustfile works here. With `arrivals` in the spec the requests follow a schedule and `wait_time` is not
used; with `users` each customer waits between requests, as under plain `locust`.
"""

import random

from locust import FastHttpUser, between, task

CUSTOMERS = 400
PRODUCTS = 20


class Customer(FastHttpUser):
    """Somebody who shops; the tasks' weights are the mix of requests."""

    wait_time = between(0.5, 1.5)

    @task(5)
    def look_around(self) -> None:
        """The home page: products and recommendations."""
        self.client.get("/", name="/")

    @task(2)
    def look_closer(self) -> None:
        """One product; needs no dependency."""
        self.client.get(f"/product/{random.randint(1, PRODUCTS)}", name="/product")

    @task(1)
    def see_cart(self) -> None:
        """What is in the cart."""
        self.client.get(f"/cart/c{random.randint(1, CUSTOMERS)}", name="/cart")

    @task(2)
    def fill_cart(self) -> None:
        """Put a product into the cart."""
        item = f"product-{random.randint(1, PRODUCTS)}"
        self.client.post(f"/cart/c{random.randint(1, CUSTOMERS)}", json={"item": item}, name="/cart")
