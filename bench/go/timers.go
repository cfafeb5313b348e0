// SPDX-License-Identifier: MIT

package main

import (
	"math/rand"
	"sort"
	"sync"
	"time"
)

// P12: how late the functions of 10,000 timers run that are due one after the other within 500 ms, armed
// in random order. A context with a deadline is ended by such a function.
func timers() {
	const n = 10_000
	const spacing = 500 * time.Millisecond / n
	const headStart = 100 * time.Millisecond
	late := make([]float64, n)
	var fired sync.WaitGroup
	fired.Add(n)
	begin := time.Now().Add(headStart)
	for _, i := range rand.Perm(n) {
		i := i
		deadline := begin.Add(time.Duration(i+1) * spacing)
		time.AfterFunc(time.Until(deadline), func() {
			late[i] = float64(time.Since(deadline).Nanoseconds()) / 1000
			fired.Done()
		})
	}
	fired.Wait()
	sort.Float64s(late)
	report("P12/min/go", late[0])
	report("P12/p50/go", late[n/2])
	report("P12/p99/go", late[n*99/100])
	report("P12/max/go", late[n-1])
}
