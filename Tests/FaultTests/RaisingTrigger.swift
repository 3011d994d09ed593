import TestSupport
import Testing

/// Triggers of the user's own that raise an exception or suppress an update: for some items, or at random.
///
/// It always exists and reads a table, because creating it needs a lock that a stopped worker may withhold.
struct RaisingTrigger {
    enum Table: String, CaseIterable, Sendable {
        /// When the stock of an item changes.
        case items
        /// When a result is written, the failed result included.
        case results
    }

    /// What a trigger does to a row.
    enum Effect: Sendable, CustomTestStringConvertible {
        case raises(sqlState: String)
        /// A BEFORE trigger returns NULL, and PostgreSQL does not update the row.
        case suppresses

        var testDescription: String { if case .raises(let state) = self { "raises \(state)" } else { "suppresses" } }
    }

    static func install(in database: TestDatabase) throws {
        try database.run(
            """
            CREATE TABLE audit.raises (table_name text, item_id text, chance float8, state text);
            CREATE FUNCTION audit.raise_sometimes() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE
                entry record;
            BEGIN
                SELECT * INTO entry FROM audit.raises
                WHERE table_name = TG_ARGV[0] AND (item_id IS NULL OR item_id = NEW.item_id) AND random() < chance
                    AND (state IS NULL) = (TG_WHEN = 'BEFORE');
                IF FOUND AND entry.state IS NOT NULL THEN
                    RAISE EXCEPTION USING
                        ERRCODE = entry.state, MESSAGE = format('the audit does not like item %s', NEW.item_id);
                END IF;
                IF FOUND THEN
                    RETURN NULL;
                END IF;
                RETURN NEW;
            END
            $$;
            CREATE TRIGGER suppress_sometimes BEFORE UPDATE ON stockq.items
                FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION audit.raise_sometimes('items');
            CREATE TRIGGER raise_sometimes AFTER UPDATE ON stockq.items
                FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION audit.raise_sometimes('items');
            CREATE TRIGGER raise_sometimes AFTER INSERT ON stockq.results
                FOR EACH ROW EXECUTE FUNCTION audit.raise_sometimes('results');
            """)
    }

    /// From now on the trigger of the table raises.
    ///
    /// - Parameters:
    ///   - item: nil for every item.
    ///   - chance: of each row.
    static func start(
        in database: TestDatabase, _ table: Table, item: String? = nil, chance: Double = 1,
        _ effect: Effect = .raises(sqlState: "P0001")
    ) throws {
        let state = if case .raises(let state) = effect { "'\(state)'" } else { "NULL" }
        let item = item.map { "'\($0)'" } ?? "NULL"
        try database.run("INSERT INTO audit.raises VALUES ('\(table.rawValue)', \(item), \(chance), \(state))")
    }

    static func stop(in database: TestDatabase) throws { try database.run("DELETE FROM audit.raises") }
}
