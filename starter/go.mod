module ringfence.dev/starter

go 1.26
