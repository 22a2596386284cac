      0s  live-edge /e/v/1.m4s sent, try 0
    10ms  live-edge /e/v/1.m4s -> wire 404, to be retried, response 10ms
    10ms  live-edge /e/v/1.m4s waits until 1.01s
   1.01s  live-edge /e/v/1.m4s sent, try 1
   1.01s  live-edge /e/v/1.m4s -> wire refused, to be retried, response 1.01s
   1.01s  live-edge /e/v/1.m4s waits until 2.01s
   2.01s  live-edge /e/v/1.m4s sent, try 2
   2.02s  live-edge /e/v/1.m4s -> wire 503, to be retried, response 2.02s
   2.02s  live-edge /e/v/1.m4s waits until 3.02s
   3.02s  live-edge /e/v/1.m4s sent, try 3
   3.03s  live-edge /e/v/1.m4s -> wire 503, response 3.03s
