/// The limit on the lines of a group, which a batch decides in one transaction.
public enum GroupLimit {
    /// The most lines of a group, unless a setting says otherwise. The enqueue functions of the schema have the same
    /// default.
    public static let linesMax = 10_000
}
