import StockQueueMigrations
import StockQueuePostgres

/// The rows of a schema's table `migrations`: which SQL files were applied.
struct AppliedMigrations {
    private struct Row {
        var name: String
        var kind: String
        var checksum: String
        var appliedAt: Timestamp
    }

    private let rows: [Row]

    /// Of a schema without the table.
    static let none = AppliedMigrations(rows: [])

    private init(rows: [Row]) { self.rows = rows }

    /// Names and checksums alone travel.
    static func statement(_ schema: QueueSchema) -> Statement {
        Statement(
            "read_migrations", [],
            "SELECT name, kind, checksum, applied_at FROM \(schema.quoted).migrations ORDER BY applied_at, name")
    }

    /// - Parameter answer: of `statement`.
    init(_ answer: ResultSet) {
        rows = (0..<answer.rowCount).map { row in
            Row(
                name: answer.string(row, 0), kind: answer.string(row, 1), checksum: answer.string(row, 2),
                appliedAt: answer.timestamp(row, 3))
        }
    }

    var isEmpty: Bool { rows.isEmpty }

    func state(of migration: Migration) -> MigrationStatus.State {
        guard let row = row(migration) else { return .missing }
        return row.checksum == migration.checksum ? .applied : .outdated
    }

    func status(of migration: Migration) -> MigrationStatus {
        MigrationStatus(
            kind: migration.kind.rawValue, name: migration.name, state: state(of: migration),
            appliedAt: row(migration)?.appliedAt)
    }

    /// The files that a program with these ones does not know, without the roles.
    func unknown(to migrations: [Migration]) -> [MigrationStatus] {
        rows.filter { row in row.kind != Migration.Kind.roles.rawValue && !migrations.contains { $0.name == row.name } }
            .map { MigrationStatus(kind: $0.kind, name: $0.name, state: .applied, appliedAt: $0.appliedAt) }
    }

    private func row(_ migration: Migration) -> Row? { rows.first { $0.name == migration.name } }
}
