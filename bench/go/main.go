// SPDX-License-Identifier: MIT

// The same as our benchmarks do, with Go's context package and Go's timers. `list` prints its benchmarks, the name of
// one runs that one, which prints `name value` lines, in nanoseconds of real time and, for lateness, microseconds.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// Nanoseconds that each of n steps took.
func perStep(begin time.Time, n int) float64 {
	return float64(time.Since(begin).Nanoseconds()) / float64(n)
}

func report(name string, value float64) { fmt.Printf("%s %.1f\n", name, value) }

var benchmarks = []struct {
	name string
	run  func()
}{
	{"P1/one/go", deriveOne},
	{"P1/random/go", deriveRandom},
	{"P2/one/go", timeoutOne},
	{"P3/go", readError},
	{"P5/ordered/go/10000", func() { fan(10_000, 20) }},
	{"P5/ordered/go/1000000", func() { fan(1_000_000, 1) }},
	{"P6/cancel/go", func() { chain(1_000_000) }},
	{"P7/go", readValue},
	{"P10/one_processor/wait/go", wakeUp},
	{"P12/go", timers},
	{"P17/go", handlers},
	{"P25/go", group},
}

func main() {
	found := false
	for _, benchmark := range benchmarks {
		if len(os.Args) == 2 && os.Args[1] == "list" {
			fmt.Println(benchmark.name)
			found = true
		} else if len(os.Args) == 2 && os.Args[1] == benchmark.name {
			runtime.GC()
			benchmark.run()
			found = true
		}
	}
	if !found {
		fmt.Fprintf(os.Stderr, "usage: %s list | NAME\n", os.Args[0])
		os.Exit(2)
	}
}
