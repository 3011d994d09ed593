import HTTPServer
import StockFormats
import StockModel

/// The JSON of jobs in answers. A member without a value is left out.
enum JobAnswers {
    /// The result of a job that was waited for.
    static func json(_ result: LineResult, store: String) -> String {
        var json = JSONWriter()
        json.object { json in
            json.member("job_id", result.jobID)
            json.member("state", "finished")
            json.member("store_id", store)
            json.member("item_id", result.itemID)
            json.member("location_id", result.locationID)
            json.member("action", result.action.rawValue)
            json.member("quantity", result.quantity)
            json.member("outcome", result.outcome.rawValue)
            json.member("code", result.code?.rawValue)
            json.member("warning", result.warning?.rawValue)
            json.member("applied_quantity", result.appliedQuantity)
            writeBalances(result.before, result.after, &json)
            json.member("finished_at", Timestamp.rfc3339(result.finishedAt))
        }
        return json.text
    }

    private static func writeBalances(_ before: Balance?, _ after: Balance?, _ json: inout JSONWriter) {
        json.member("on_hand_before", before?.onHand)
        json.member("on_hand_after", after?.onHand)
        json.member("allocated_before", before?.allocated)
        json.member("allocated_after", after?.allocated)
    }

    static func accepted(_ jobs: [AcceptedJob], isList: Bool) -> String {
        let texts = jobs.map { #"{"job_id":\#($0.jobID),"is_duplicate":\#($0.isDuplicate)}"# }
        return isList ? #"{"jobs":[\#(texts.joined(separator: ","))]}"# : texts[0]
    }

    static func decisions(_ lines: [DryRunLine]) -> Response {
        var json = JSONWriter()
        json.object { json in
            json.key("jobs")
            json.array { json in
                for line in lines {
                    json.object { json in
                        json.key("waits")
                        json.bool(line.outcome == nil)
                        json.member("outcome", line.outcome?.rawValue)
                        json.member("code", line.code?.rawValue)
                        json.member("applied_quantity", line.appliedQuantity)
                        writeBalances(line.before, line.after, &json)
                    }
                }
            }
        }
        return .json(.ok, json.bytes)
    }

    // MARK: lists

    /// `{"jobs": […]}`, or the problem where there is none.
    static func list(_ rows: NativeRows, _ missing: Problem) throws(Problem) -> Response {
        if rows.rows.isEmpty { throw missing }
        return members("jobs", rows.rows.map(\.json))
    }

    static func canceled(_ rows: NativeRows, _ missing: Problem) throws(Problem) -> Response {
        if rows.rows.isEmpty { throw missing }
        let canceled = rows.rows.filter(\.isCanceled)
        if canceled.isEmpty {
            var problem = Problem(.notQueued)
            problem.jobs = rows.rows.map(\.json)
            throw problem
        }
        return members("jobs", canceled.map(\.json))
    }

    static func members(_ name: String, _ rows: [String], _ more: (name: String, value: String?)...) -> Response {
        var json = JSONWriter()
        json.object { json in
            json.key(name)
            json.array { json in for row in rows { json.encoded(row) } }
            for member in more { json.member(member.name, member.value) }
        }
        return .json(.ok, json.bytes)
    }
}

extension JSONWriter {
    /// Writes a member unless it has no value.
    mutating func member(_ name: String, _ value: String?) {
        guard let value else { return }
        key(name)
        string(value)
    }

    mutating func member(_ name: String, _ value: Int64?) {
        guard let value else { return }
        key(name)
        integer(value)
    }
}
