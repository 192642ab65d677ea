-- Forgets a pod that ends in order: nobody need wait for its lease.
forget(LOTS)
redis.call('DEL', TOTALS)
redis.call('ZREM', PODS, POD)
redis.call('SREM', WAITING, POD)
return {'ok', now}
