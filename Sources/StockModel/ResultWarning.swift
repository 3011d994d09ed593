/// What was unusual about an applied job.
public enum ResultWarning: String, DatabaseLabel {
    /// Available stock was below 0 after the job.
    case negativeStock = "negative_stock"

    public static let typeName = "warning"

    public var ordinal: Int16 {
        switch self {
        case .negativeStock: 0
        }
    }
}
