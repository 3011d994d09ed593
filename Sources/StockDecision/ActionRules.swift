import StockModel

/// What one job would do to one item.
enum ActionEffect {
    case apply(Balance, quantity: Int64)
    case unchanged(ResultCode)
    case reject(ResultCode)
    /// The job needs this much to be available and waits for it.
    case wait(quantity: Int64)
}

/// Applies the rules of actions and policies to one job and one item, in the order in which they are checked.
///
/// Every balance and quantity that reaches the arithmetic is within ± (2^53 − 1), so no sum of three of them overflows
/// an Int64.
///
/// - Parameters:
///   - availableSeen: what `expected_available` is compared with: the stock before the job's group.
///   - counted: of a `set` job, the stock that it leaves.
func effect(
    of job: ClaimedJob, on item: ItemState, availableSeen: Int64, counted: @autoclosure () -> CountedStock
) -> ActionEffect {
    let quantity = job.quantity
    let balance = item.balance
    if job.isExpired { return .reject(.expired) }
    if !job.action.accepts(quantity) { return .reject(.invalidQuantity) }
    if item.presence == .unknown { return .reject(.unknownItem) }
    if !item.tracked { return .unchanged(.untracked) }
    if let expected = job.expectedAvailable, expected != availableSeen { return .reject(.stale) }
    switch job.action {
    case .adjust:
        if quantity == 0 { return .unchanged(.noChange) }
        if quantity > 0 { return move(balance, onHand: quantity, quantity: quantity) }
        return draw(-quantity, from: balance, job.onInsufficient) { drawn in
            move(balance, onHand: -drawn, quantity: -drawn)
        }
    case .allocate:
        return draw(quantity, from: balance, job.onInsufficient) { drawn in
            move(balance, allocated: drawn, quantity: drawn)
        }
    case .deallocate:
        if balance.allocated < quantity { return .reject(.insufficientAllocation) }
        return move(balance, allocated: -quantity, quantity: quantity)
    case .ship:
        if balance.allocated < quantity { return .reject(.insufficientAllocation) }
        return move(balance, onHand: -quantity, allocated: -quantity, quantity: quantity)
    case .set:
        return set(job, balance, counted())
    }
}

/// Brings on_hand to what was counted.
private func set(_ job: ClaimedJob, _ balance: Balance, _ counted: CountedStock) -> ActionEffect {
    guard case .onHand(let onHand) = counted else { return .reject(counted == .outdated ? .stale : .outOfRange) }
    if onHand == balance.onHand { return .unchanged(.noChange) }
    if onHand < balance.allocated && job.onInsufficient != .allow { return .reject(.insufficientStock) }
    let after = Balance(onHand: onHand, allocated: balance.allocated)
    return after.isInRange ? .apply(after, quantity: job.quantity) : .reject(.outOfRange)
}

/// Draws from the available stock, by the job's policy where that is too little.
private func draw(
    _ need: Int64, from balance: Balance, _ policy: InsufficientStockPolicy, _ apply: (Int64) -> ActionEffect
) -> ActionEffect {
    if balance.available >= need { return apply(need) }
    switch policy {
    case .reject: return .reject(.insufficientStock)
    case .allow: return apply(need)
    case .partial: return balance.available > 0 ? apply(balance.available) : .reject(.insufficientStock)
    case .wait: return .wait(quantity: need)
    }
}

private func move(_ balance: Balance, onHand: Int64 = 0, allocated: Int64 = 0, quantity: Int64) -> ActionEffect {
    let after = Balance(onHand: balance.onHand + onHand, allocated: balance.allocated + allocated)
    return after.isInRange ? .apply(after, quantity: quantity) : .reject(.outOfRange)
}
