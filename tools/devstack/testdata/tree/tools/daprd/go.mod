module example.org/tree/daprd

go 1.26
