// swift-tools-version: 6.2
import PackageDescription

/// One set of flags for every target: Swift 6 language mode (the tools version's default), no warning
/// tolerated, `any` spelled out, and imports visible only where they are written.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// Set for `make fuzz` alone: libFuzzer's counters go into every target, and its driver into `stockq-fuzz`.
let isFuzzing = Context.environment["STOCKQ_FUZZ"] != nil
let flags = strict + (isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : [])

let fuzzer: [Target] =
    isFuzzing
    ? [
        .executableTarget(
            name: "stockq-fuzz",
            dependencies: ["FuzzTargets"],
            path: "Tests/Fuzz",
            exclude: ["corpus"],
            swiftSettings: strict
        )
    ] : []

let package = Package(
    name: "stockq",
    products: [
        .library(name: "StockQueue", targets: ["StockQueue"]),
        .executable(name: "stockq", targets: ["stockq"]),
        .executable(name: "stockq-bench", targets: ["stockq-bench"]),
    ],
    targets: [
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(name: "StockQueuePostgres", dependencies: ["CLibPQ"], swiftSettings: flags),
        // The SQL files are compiled into the binary, so that an installed stockq carries its migrations.
        .target(
            name: "StockQueueMigrations",
            path: "migrations",
            exclude: ["schema.sql"],
            resources: [
                .embedInCode("0001_initial.sql"), .embedInCode("0002_group_limit.sql"),
                .embedInCode("0003_limits_and_locks.sql"), .embedInCode("0004_stock.sql"),
                .embedInCode("0005_due_jobs_by_lane.sql"), .embedInCode("0006_gateway.sql"),
                .embedInCode("0007_results_by_time.sql"), .embedInCode("0008_delivery.sql"),
                .embedInCode("0010_reconciliations.sql"),
                .embedInCode("0011_counts_and_details.sql"),
                .embedInCode("0012_strands.sql"),
                .embedInCode("functions/feeds.sql"), .embedInCode("functions/delivery.sql"),
                .embedInCode("0009_imports.sql"), .embedInCode("functions/imports.sql"),
                .embedInCode("functions/items.sql"), .embedInCode("functions/alerts.sql"),
                .embedInCode("views/messages.sql"),
                .embedInCode("views/own_rows.sql"), .embedInCode("views/jobs.sql"),
                .embedInCode("functions/access.sql"), .embedInCode("functions/locks.sql"),
                .embedInCode("functions/partitions.sql"),
                .embedInCode("functions/retention.sql"), .embedInCode("functions/keys.sql"),
                .embedInCode("functions/checks.sql"),
                .embedInCode("functions/enqueue.sql"), .embedInCode("functions/lists.sql"),
                .embedInCode("functions/lookup.sql"), .embedInCode("functions/admin.sql"),
                .embedInCode("functions/pause.sql"), .embedInCode("functions/settings.sql"),
                .embedInCode("functions/reconcile.sql"),
                .embedInCode("functions/move.sql"),
                .embedInCode("functions/tokens.sql"), .embedInCode("functions/gateway.sql"),
                .embedInCode("functions/native.sql"),
                .embedInCode("functions/native_notifications.sql"),
                .embedInCode("wakeup_trigger.sql"), .embedInCode("roles.sql"),
            ],
            swiftSettings: flags
        ),
        // The one lock, which a build for ThreadSanitizer replaces.
        .target(name: "StockQueueLocking", swiftSettings: flags),
        .target(name: "StockModel", swiftSettings: flags),
        // CSV, JSON, timestamps and COPY text, pure.
        .target(name: "StockFormats", dependencies: ["StockModel"], swiftSettings: flags),
        // The rules, pure: they must not know the database.
        .target(name: "StockDecision", dependencies: ["StockModel"], swiftSettings: flags),
        .target(
            name: "StockQueue",
            dependencies: [
                "CLinux", "StockModel", "StockDecision", "StockFormats", "StockQueueLocking", "StockQueuePostgres",
                "StockQueueMigrations",
            ],
            swiftSettings: flags
        ),
        // epoll, eventfd and the like, which Swift's Glibc module leaves out.
        .systemLibrary(name: "CLinux"),
        // HTTP/1.1 on sockets: it knows nothing of stock.
        .target(name: "HTTPServer", dependencies: ["CLinux", "StockQueueLocking"], swiftSettings: flags),
        // Counters, gauges and histograms, and the formats of a scrape: it knows nothing of stock.
        .target(name: "Metrics", dependencies: ["StockQueueLocking"], swiftSettings: flags),
        // The vendors' calls, pure: bytes to jobs and results to bytes.
        .target(
            name: "StockGateway", dependencies: ["HTTPServer", "StockFormats", "StockModel", "StockQueueLocking"],
            swiftSettings: flags),
        // The vendors' calls in a queue: enqueue, wait, cancel.
        .target(
            name: "StockGatewayExecution",
            dependencies: [
                "HTTPServer", "StockDecision", "StockGateway", "StockModel", "StockQueue", "StockQueueLocking",
                "StockQueuePostgres",
            ],
            swiftSettings: flags),
        // The page of the dashboard, carried by the binary.
        .target(name: "DashboardPage", resources: [.embedInCode("dashboard.html")], swiftSettings: flags),
        .target(name: "PrivateCluster", dependencies: ["StockQueuePostgres"], swiftSettings: flags),
        // The version and, written before every build, the commit.
        .target(name: "BuildInfo", exclude: ["stamp.sh"], swiftSettings: flags, plugins: ["CommitStamp"]),
        .plugin(name: "CommitStamp", capability: .buildTool()),
        .target(
            name: "CommandLineKit",
            dependencies: ["StockModel", "StockFormats", "StockQueueLocking", "StockQueuePostgres"],
            swiftSettings: flags),
        .executableTarget(
            name: "stockq",
            dependencies: [
                "BuildInfo", "CommandLineKit", "DashboardPage", "HTTPServer", "Metrics", "StockFormats", "StockGateway",
                "StockGatewayExecution", "StockModel", "StockQueueLocking", "StockQueue", "StockQueuePostgres",
                "StockQueueMigrations", "PrivateCluster",
            ],
            swiftSettings: flags
        ),
        // Measures `stockq`, and runs the `stockq` beside it for what needs a process of its own.
        .executableTarget(
            name: "stockq-bench",
            dependencies: [
                "BuildInfo", "CommandLineKit", "HTTPServer", "StockModel", "StockQueueLocking", "StockQueue",
                "StockQueuePostgres", "PrivateCluster",
            ],
            swiftSettings: flags
        ),
        .target(
            name: "TestSupport",
            dependencies: [
                "StockDecision", "StockModel", "StockQueueLocking", "StockQueue", "StockQueuePostgres",
                "PrivateCluster",
            ],
            path: "Tests/Support",
            swiftSettings: flags
        ),
        // The examples of the documentation, with what a user of the library can reach and nothing more.
        .target(
            name: "Examples", dependencies: ["StockQueue"], path: "Tests/Examples", packageAccess: false,
            swiftSettings: flags),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "CLibPQ", "CommandLineKit", "HTTPServer", "StockDecision", "StockFormats", "StockModel",
                "StockQueuePostgres", "StockQueue", "TestSupport",
            ],
            path: "Tests/FuzzTargets",
            swiftSettings: flags
        ),
        .testTarget(
            name: "FuzzTests",
            dependencies: [
                "FuzzTargets", "StockFormats", "StockModel", "StockQueuePostgres", "StockQueue", "TestSupport",
            ],
            swiftSettings: flags),
        .testTarget(
            name: "StockFormatsTests", dependencies: ["StockFormats", "StockModel"], swiftSettings: flags),
        .testTarget(name: "MetricsTests", dependencies: ["Metrics", "StockQueueLocking"], swiftSettings: flags),
        .testTarget(
            name: "HTTPServerTests", dependencies: ["FuzzTargets", "HTTPServer", "StockQueueLocking", "TestSupport"],
            swiftSettings: flags),
        .testTarget(
            name: "StockGatewayTests",
            dependencies: [
                "HTTPServer", "StockDecision", "StockFormats", "StockGateway", "StockGatewayExecution", "StockModel",
                "StockQueue", "StockQueueLocking", "StockQueuePostgres", "TestSupport",
            ],
            swiftSettings: flags),
        .testTarget(name: "PostgresTests", dependencies: ["StockQueuePostgres", "TestSupport"], swiftSettings: flags),
        .testTarget(
            name: "StockQueueTests",
            dependencies: [
                "StockDecision", "StockFormats", "StockModel", "StockQueueLocking", "StockQueue", "TestSupport",
            ],
            swiftSettings: flags),
        .testTarget(
            name: "FaultTests",
            dependencies: [
                "stockq", "StockModel", "StockQueueLocking", "StockQueue", "StockQueuePostgres", "StockQueueMigrations",
                "PrivateCluster", "TestSupport",
            ],
            swiftSettings: flags
        ),
        .testTarget(
            name: "CommandTests",
            dependencies: [
                "Examples", "stockq", "stockq-bench", "CommandLineKit", "DashboardPage", "HTTPServer", "Metrics",
                "PrivateCluster",
                "StockGateway",
                "StockGatewayExecution", "StockModel", "StockQueueLocking", "StockQueue", "StockQueuePostgres",
                "TestSupport",
            ],
            swiftSettings: flags
        ),
    ] + fuzzer
)
