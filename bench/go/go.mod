module libctx/bench

go 1.21
