-- Forgets a pod that ends in order: nobody need wait for its lease.
forget(LOTS)
call('DEL', TOTALS)
call('ZREM', PODS, POD)
call('SREM', WAITING, POD)
return 'ok ' .. NOW
