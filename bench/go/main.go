// SPDX-License-Identifier: MIT

// The same as our benchmarks do, with Go's context package and Go's timers, in one program of the same
// round. Prints `name value` lines, in nanoseconds of real time and, for lateness, microseconds.
package main

import (
	"fmt"
	"time"
)

// Nanoseconds that each of n steps took.
func perStep(begin time.Time, n int) float64 {
	return float64(time.Since(begin).Nanoseconds()) / float64(n)
}

func report(name string, value float64) { fmt.Printf("%s %.1f\n", name, value) }

func main() {
	timers() // first, while there is little for the collector to do
	derive()
	read()
	group()
	fan(10_000, 20)
	fan(1_000_000, 1)
	chain(1_000_000)
}
