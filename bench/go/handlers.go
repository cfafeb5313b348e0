// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"runtime"
	"sort"
	"sync"
	"time"
)

// P17: a handler's life on two threads, as bench/handler.cc has it.
func handlers() {
	const requests, each, threads = 10_000, 300_000, 2
	runtime.GOMAXPROCS(threads)
	server, cancelServer := context.WithCancel(context.Background())
	defer cancelServer()
	parents := make([]context.Context, requests)
	for i := range parents {
		var cancel context.CancelFunc
		parents[i], cancel = context.WithCancel(server)
		defer cancel()
	}
	var called, done sync.WaitGroup
	called.Add(each * threads)
	done.Add(threads)
	begin := time.Now()
	for t := 0; t < threads; t++ {
		go func(t int) {
			defer done.Done()
			for i := 0; i < each; i++ {
				parent := parents[(i*7919+t)%(requests/threads)*threads+t]
				ctx, cancel := context.WithTimeout(parent, time.Second)
				named := context.WithValue(ctx, key(0), "somebody")
				context.AfterFunc(named, called.Done)
				cancel()
			}
		}(t)
	}
	done.Wait()
	report("P17/go", perStep(begin, each))
	called.Wait()
}

// P10: from a cancel to the moment at which the goroutine that waited for it goes on, on one processor.
func wakeUp() {
	const rounds = 4_000
	runtime.GOMAXPROCS(1)
	took := make([]float64, rounds)
	for i := range took {
		ctx, cancel := context.WithCancel(context.Background())
		waiting, woken := make(chan struct{}), make(chan time.Time)
		go func() {
			close(waiting)
			<-ctx.Done()
			woken <- time.Now()
		}()
		<-waiting
		time.Sleep(50 * time.Microsecond)
		begin := time.Now()
		cancel()
		took[i] = float64((<-woken).Sub(begin).Nanoseconds())
	}
	sort.Float64s(took)
	report("P10/one_processor/wait/go", took[rounds/2])
}
