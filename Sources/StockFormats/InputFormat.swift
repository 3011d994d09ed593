import Foundation

/// The format of an input's records.
public enum InputFormat: String, Sendable, CaseIterable {
    /// RFC 4180 with a header line that names the columns.
    case csv
    /// One JSON object a line.
    case ndjson

    /// By the extension of the file's name; nil when that says nothing.
    public init?(fileName: String) {
        switch (fileName as NSString).pathExtension.lowercased() {
        case "csv": self = .csv
        case "ndjson", "jsonl", "json": self = .ndjson
        default: return nil
        }
    }
}
