module servers/go-http

go 1.24
