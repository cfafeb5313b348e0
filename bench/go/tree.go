// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"math/rand"
	"time"
)

type key int

var sink any

const derivations = 1_000_000

// P1: derive, cancel, release.
func deriveOne() {
	parent, cancelParent := context.WithCancel(context.Background())
	defer cancelParent()
	begin := time.Now()
	for i := 0; i < derivations; i++ {
		_, cancel := context.WithCancel(parent)
		cancel()
	}
	report("P1/one/go", perStep(begin, derivations))
}

// P1: of 10,000 that are alive a random one is canceled and replaced.
func deriveRandom() {
	const alive = 10_000
	parent, cancelParent := context.WithCancel(context.Background())
	defer cancelParent()
	picks := make([]int, 1<<16)
	for i := range picks {
		picks[i] = rand.Intn(alive)
	}
	cancels := make([]context.CancelFunc, alive)
	for i := range cancels {
		_, cancels[i] = context.WithCancel(parent)
	}
	begin := time.Now()
	for i := 0; i < derivations; i++ {
		pick := picks[i%len(picks)]
		cancels[pick]()
		_, cancels[pick] = context.WithCancel(parent)
	}
	report("P1/random/go/10000", perStep(begin, derivations))
}

// P2: the same as P1 with a timeout.
func timeoutOne() {
	parent, cancelParent := context.WithCancel(context.Background())
	defer cancelParent()
	begin := time.Now()
	for i := 0; i < derivations; i++ {
		_, cancel := context.WithTimeout(parent, time.Hour)
		cancel()
	}
	report("P2/one/go", perStep(begin, derivations))
}

// P3: the error of a live context.
func readError() {
	const n = 10_000_000
	parent, cancelParent := context.WithCancel(context.Background())
	defer cancelParent()
	var err error
	begin := time.Now()
	for i := 0; i < n; i++ {
		err = parent.Err()
	}
	sink = err
	report("P3/go", perStep(begin, n))
}

// P7: a value that is missing, below 100 cancel contexts and 4 values.
func readValue() {
	const n = 100_000
	ctx, cancelParent := context.WithCancel(context.Background())
	defer cancelParent()
	for i := 0; i < 100; i++ {
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		ctx = child
		if i%25 == 0 {
			ctx = context.WithValue(ctx, key(i), i)
		}
	}
	begin := time.Now()
	for i := 0; i < n; i++ {
		sink = ctx.Value(key(-1))
	}
	report("P7/go", perStep(begin, n))
}

// P5: cancel a parent of many children.
func fan(children, rounds int) {
	var all float64
	for r := 0; r < rounds; r++ {
		parent, cancelParent := context.WithCancel(context.Background())
		kept := make([]context.Context, children)
		cancels := make([]context.CancelFunc, children)
		for i := range kept {
			kept[i], cancels[i] = context.WithCancel(parent)
		}
		begin := time.Now()
		cancelParent()
		all += perStep(begin, children)
		if kept[0].Err() == nil || kept[children-1].Err() == nil {
			panic("a child is live")
		}
		sink = cancels
	}
	report(fmt.Sprintf("P5/ordered/go/%d", children), all/float64(rounds))
}

// P6: cancel the first of a chain.
func chain(links int) {
	root, cancelRoot := context.WithCancel(context.Background())
	last := root
	cancels := make([]context.CancelFunc, links)
	for i := range cancels {
		last, cancels[i] = context.WithCancel(last)
	}
	begin := time.Now()
	cancelRoot()
	report("P6/cancel/go/1000000", perStep(begin, links))
	if last.Err() == nil {
		panic("the last link is live")
	}
	sink = cancels
}
