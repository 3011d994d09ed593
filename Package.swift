// swift-tools-version: 6.2
import PackageDescription

/// One set of flags for every target: Swift 6 language mode (the tools version's default), no warning
/// tolerated, `any` spelled out, and imports visible only where they are written.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "stockq",
    products: [
        .library(name: "StockQueue", targets: ["StockQueue"]),
        .executable(name: "stockq", targets: ["stockq"]),
    ],
    targets: [
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(name: "Postgres", dependencies: ["CLibPQ"], swiftSettings: strict),
        // The SQL files are compiled into the binary, so that an installed stockq carries its migrations.
        .target(
            name: "Migrations",
            path: "migrations",
            exclude: ["schema.sql"],
            resources: [.embedInCode("0001_initial.sql")],
            swiftSettings: strict
        ),
        // The one lock, which a build for ThreadSanitizer replaces.
        .target(name: "Locking", swiftSettings: strict),
        .target(name: "StockQueue", dependencies: ["Locking", "Postgres", "Migrations"], swiftSettings: strict),
        .target(name: "PrivateCluster", dependencies: ["Postgres"], swiftSettings: strict),
        // Apart from the program, so that a test reaches it.
        .target(name: "CommandArguments", swiftSettings: strict),
        .executableTarget(
            name: "stockq",
            dependencies: ["CommandArguments", "Locking", "StockQueue", "Postgres", "PrivateCluster"],
            swiftSettings: strict
        ),
        .target(
            name: "TestSupport",
            dependencies: ["Locking", "StockQueue", "Postgres", "PrivateCluster"],
            path: "Tests/Support",
            swiftSettings: strict
        ),
        .testTarget(name: "PostgresTests", dependencies: ["Postgres", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "StockQueueTests", dependencies: ["StockQueue", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "CommandTests",
            dependencies: ["stockq", "StockQueue", "Postgres", "TestSupport"],
            swiftSettings: strict
        ),
    ]
)
