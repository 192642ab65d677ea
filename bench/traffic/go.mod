module ringfence.dev/bench/traffic

go 1.26
