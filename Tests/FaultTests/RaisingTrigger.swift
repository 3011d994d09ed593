import TestSupport

/// A trigger of the user's own that raises an exception (P0001): for some items, or at random.
///
/// It always exists and reads a table, because creating it needs a lock that a stopped worker may withhold.
struct RaisingTrigger {
    enum Table: String, CaseIterable, Sendable {
        /// When the stock of an item changes.
        case items
        /// When a result is written, the failed result included.
        case results
    }

    static func install(in database: TestDatabase) throws {
        try database.run(
            """
            CREATE TABLE audit.raises (table_name text, item_id text, chance float8);
            CREATE FUNCTION audit.raise_sometimes() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF EXISTS (
                    SELECT FROM audit.raises
                    WHERE table_name = TG_ARGV[0] AND (item_id IS NULL OR item_id = NEW.item_id) AND random() < chance
                ) THEN
                    RAISE EXCEPTION 'the audit does not like item %', NEW.item_id;
                END IF;
                RETURN NULL;
            END
            $$;
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
    static func start(in database: TestDatabase, _ table: Table, item: String? = nil, chance: Double = 1) throws {
        try database.run(
            """
            INSERT INTO audit.raises VALUES ('\(table.rawValue)', \(item.map { "'\($0)'" } ?? "NULL"), \(chance))
            """)
    }

    static func stop(in database: TestDatabase) throws { try database.run("DELETE FROM audit.raises") }
}
