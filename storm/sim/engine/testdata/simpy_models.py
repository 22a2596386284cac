"""The models of simpy_test.go in SimPy, for scale. Prints what a run took in seconds, and the mean response in milliseconds."""

import random
import sys
import time

import simpy


def mm1(env, customers, took):
    server = simpy.Resource(env, capacity=1)

    def customer():
        began = env.now
        with server.request() as turn:
            yield turn
            yield env.timeout(random.expovariate(1.0))
        took.append(env.now - began)

    def arrivals():
        for _ in range(customers):
            env.process(customer())
            yield env.timeout(random.expovariate(0.7))

    env.process(arrivals())


def storm(env, ticks, took):
    store = simpy.Resource(env, capacity=64)
    link = simpy.Resource(env, capacity=1)

    def read():
        began = env.now
        yield env.timeout(random.expovariate(1 / 2.0))
        with store.request() as turn:
            yield turn
            yield env.timeout(random.expovariate(1 / 8.0))
        with link.request() as turn:
            yield turn
            yield env.timeout(1.6)
        took.append(env.now - began)

    def clock():
        for _ in range(ticks):
            for _ in range(60 * 12):
                env.process(read())
            yield env.timeout(2000)

    env.process(clock())


model, size, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
took = []
env = simpy.Environment()
{"mm1": mm1, "storm": storm}[model](env, size, took)
began = time.perf_counter()
env.run()
print(time.perf_counter() - began, sum(took) / len(took))
