import StockModel
import StockQueuePostgres

// Each statement calls a function of `migrations/functions/imports.sql`, and proves to it who the caller is.

/// Begins an import, and finds the last one of the same input.
struct BeginImportStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "begin_import", [.text, .text, .text, .text, .text, .bool, .bool],
            """
            SELECT begun.*
            FROM \(s).my_caller_token AS t
            CROSS JOIN LATERAL \(s).begin_import_for(t.producer, t.caller_token, $1, $2, $3, $4, $5, $6, $7) AS begun
            """)
    }

    static func parameters(
        _ kind: ImportRecord.Kind, _ input: ImportRecord.Input, name: String?, once: Bool, keepsSession: Bool
    ) -> Parameters {
        var parameters = Parameters()
        parameters.add(kind.rawValue)
        parameters.add(input.label)
        parameters.add(input.fileName)
        parameters.add(input.sha256)
        parameters.add(name)
        parameters.add(once)
        parameters.add(keepsSession)
        return parameters
    }

    static func earlier(in rows: ResultSet) -> ImportRecord.Earlier? {
        guard let name = rows.optionalString(0, rows.column("earlier_name")) else { return nil }
        return ImportRecord.Earlier(
            name: name, state: rows.string(0, rows.column("earlier_state")),
            importedBy: rows.string(0, rows.column("earlier_by")),
            startedAt: rows.timestamp(0, rows.column("earlier_at")))
    }
}

/// Lets an import go on that stopped.
struct ResumeImportStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "resume_import", [.text, .text, .bool],
            """
            SELECT resumed.*
            FROM \(s).my_caller_token AS t
            CROSS JOIN LATERAL \(s).resume_import_for(t.producer, t.caller_token, $1, $2, $3) AS resumed
            """)
    }

    static func parameters(name: String, sha256: String?, keepsSession: Bool) -> Parameters {
        var parameters = Parameters()
        parameters.add(name)
        parameters.add(sha256)
        parameters.add(keepsSession)
        return parameters
    }
}

/// Notes how far an import has come, and its transaction if that enqueued jobs.
struct SaveImportStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        let counts = ImportCounts.columns.count
        let types: [TypeOID] = [.int8, .int4, .text, .text, .text, .int8, .bool, .int8]
        let arguments = (1...(types.count + counts)).map { "$\($0)" }.joined(separator: ", ")
        statement = Statement(
            "save_import", types + Array(repeating: .int8, count: counts),
            """
            SELECT \(s).save_import_for(t.producer, t.caller_token, \(arguments))
            FROM \(s).my_caller_token AS t
            """)
    }
}

/// Finds an import by its name.
struct FindImportStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "find_import", [.text], "SELECT import_id FROM \(schema.quoted).imports WHERE name = $1")
    }
}
