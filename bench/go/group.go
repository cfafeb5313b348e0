// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"time"
)

// P25: begin a piece of work and end it.
func group() {
	const n = 1_000_000
	var work sync.WaitGroup
	begin := time.Now()
	for i := 0; i < n; i++ {
		work.Add(1)
		work.Done()
	}
	report("P25/go", perStep(begin, n))
	work.Wait()
}
