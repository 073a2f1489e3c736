module github.com/jaegertracing/jaeger

go 1.26
