module ringfence.dev/bench/load

go 1.26
