/// One numbered SQL file of this folder, carried by the binary.
public struct Migration: Sendable {
    /// Position in the order of application, from 1 without gaps.
    public let number: Int
    /// The file's name, for instance `0001_initial.sql`.
    public let name: String
    /// The file's text, in which `:"schema"` stands for the schema's quoted name.
    public let sql: String

    public init(number: Int, name: String, sql: String) {
        self.number = number
        self.name = name
        self.sql = sql
    }

    /// Every migration in order. A new file is named here and in Package.swift; a test compares this list with the folder.
    public static let all: [Migration] = [
        Migration(number: 1, name: "0001_initial.sql", sql: text(PackageResources._001_initial_sql)),
        Migration(number: 2, name: "0002_idempotency.sql", sql: text(PackageResources._002_idempotency_sql)),
        Migration(number: 3, name: "0003_access.sql", sql: text(PackageResources._003_access_sql)),
        Migration(number: 4, name: "0004_operators.sql", sql: text(PackageResources._004_operators_sql)),
        Migration(number: 5, name: "0005_producers.sql", sql: text(PackageResources._005_producers_sql)),
        Migration(number: 6, name: "0006_corrections.sql", sql: text(PackageResources._006_corrections_sql)),
        Migration(number: 7, name: "0007_lists.sql", sql: text(PackageResources._007_lists_sql)),
        Migration(number: 8, name: "0008_amendments.sql", sql: text(PackageResources._008_amendments_sql)),
    ]

    /// The roles of a queue and their privileges, to be run after the migrations; safe to run again.
    public static let roles = text(PackageResources.roles_sql)

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
