import Dispatch
import Metrics
import Testing

/// Metrics and the formats in which they are written.
@Suite struct MetricsTests {
    private func page(_ registry: MetricsRegistry, _ format: ExpositionFormat = .text) -> String {
        String(decoding: registry.exposition(format), as: UTF8.self)
    }

    @Test("the text format has help, type and values, and _total behind the name of a counter") func text() {
        let registry = MetricsRegistry()
        let jobs = registry.counters("jobs", "Jobs that ended.", labels: ["outcome", "code"])
        jobs["applied", ""].add(3)
        _ = jobs["rejected", "stale"]
        jobs["applied", ""].add()
        registry.gauge("depth", "Jobs that wait.").set(1.5)
        #expect(
            page(registry) == """
                # HELP jobs_total Jobs that ended.
                # TYPE jobs_total counter
                jobs_total{outcome="applied",code=""} 4
                jobs_total{outcome="rejected",code="stale"} 0
                # HELP depth Jobs that wait.
                # TYPE depth gauge
                depth 1.5

                """)
    }

    @Test("OpenMetrics has the name without _total, the unit, and an end") func openMetrics() {
        let registry = MetricsRegistry()
        registry.counter("jobs", "Jobs that ended.").add(2)
        registry.histogram("wait_seconds", "Time.", bounds: [0.5, 1]).observe(0.75)
        #expect(
            page(registry, .openMetrics) == """
                # HELP jobs Jobs that ended.
                # TYPE jobs counter
                jobs_total 2
                # HELP wait_seconds Time.
                # TYPE wait_seconds histogram
                # UNIT wait_seconds seconds
                wait_seconds_bucket{le="0.5"} 0
                wait_seconds_bucket{le="1.0"} 1
                wait_seconds_bucket{le="+Inf"} 1
                wait_seconds_sum 0.75
                wait_seconds_count 1
                # EOF

                """)
    }

    @Test("a value equal to a bound is in its bucket, and buckets add up") func buckets() {
        let registry = MetricsRegistry()
        let histogram = registry.histogram("size", "Size.", bounds: [1, 10])
        for value in [0, 1, 1.5, 10, 11] { histogram.observe(value) }
        histogram.add([1, 0, 2], sum: 100)
        let lines = page(registry).split(separator: "\n").dropFirst(2)
        #expect(
            lines == [
                #"size_bucket{le="1.0"} 3"#, #"size_bucket{le="10.0"} 5"#, #"size_bucket{le="+Inf"} 8"#,
                "size_sum 123.5", "size_count 8",
            ])
        #expect(histogram.count == 8)
    }

    @Test("values of labels and help are escaped") func escapes() {
        let registry = MetricsRegistry()
        registry.counters("a", "One \\ two\nthree \"four\".", labels: ["b"])["x\"y\\z\n"].add(1)
        #expect(
            page(registry).split(separator: "\n") == [
                #"# HELP a_total One \\ two\nthree "four"."#, "# TYPE a_total counter",
                #"a_total{b="x\"y\\z\n"} 1"#,
            ])
        #expect(page(registry, .openMetrics).hasPrefix(#"# HELP a One \\ two\nthree \"four\"."#))
    }

    @Test("values are read when they are written") func readAtScrape() {
        let registry = MetricsRegistry()
        let reads = registry.counter("reads", "Reads.")
        registry.onScrape { exposition in
            reads.add()
            exposition.family(
                .gauge, "up", "Up.", labels: ["of"], [(["x"], 1), (["y"], .nan), (["z"], -.infinity)])
            exposition.family(.gauge, "none", "No value now.", [])
        }
        let text = page(registry)
        #expect(text.contains("up{of=\"x\"} 1\nup{of=\"y\"} NaN\nup{of=\"z\"} -Inf\n# HELP none"))
        #expect(reads.value == 1)
    }

    @Test("many threads count without losing anything") func threads() {
        let registry = MetricsRegistry()
        let counter = registry.counter("jobs", "Jobs.")
        let family = registry.counters("by", "By.", labels: ["n"])
        let histogram = registry.histogram("size", "Size.", bounds: [1, 2, 3])
        DispatchQueue.concurrentPerform(iterations: 8) { number in
            for step in 0..<1_000 {
                counter.add(2)
                family["\(step % 5)"].add()
                histogram.observe(Double(number % 4))
                if step % 100 == 0 { _ = registry.exposition(.text) }
            }
        }
        #expect(counter.value == 16_000)
        #expect((0..<5).map { family["\($0)"].value } == [1_600, 1_600, 1_600, 1_600, 1_600])
        #expect(histogram.count == 8_000)
    }

    @Test(
        "the format follows the Accept field",
        arguments: [
            (nil, ExpositionFormat.text), ("", .text), ("*/*", .text), ("text/html, */*;q=0.8", .text),
            ("application/openmetrics-text", .openMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", .openMetrics),
            ("application/openmetrics-text;version=\"1.0.0\"", .openMetrics),
            ("Application/OpenMetrics-Text;version=0.0.1", .openMetrics),
            ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", .text),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.9", .text),
            ("application/openmetrics-text;q=0", .text),
            // What Prometheus 2.42 sends.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                    + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
            ),
        ])
    func accept(_ accept: String?, _ format: ExpositionFormat) {
        #expect(ExpositionFormat(accept: accept) == format)
    }
}
